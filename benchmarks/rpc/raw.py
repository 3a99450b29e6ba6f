"""The bar: py-amqp alone, with as little done per call as it allows."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import amqp

QUEUE = "raw_echo"
TRANSIENT = 1


def connect(uri: str) -> tuple[Any, Any]:
    """An open connection and a channel on it."""
    url = urlsplit(uri)
    connection = amqp.Connection(f"{url.hostname}:{url.port}", userid=url.username, password=url.password)
    connection.connect()
    # py-amqp looks at the socket before each publish, for a word of a blocked broker; without it, it is faster
    connection.client_properties["capabilities"]["connection.blocked"] = False
    return connection, connection.channel()
