"""The broker of the journeys: nobody else's, since a whole store answers on it for as long as the session lasts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chassis.testing.plugin import running_rabbit


@pytest.fixture(scope="session")
def amqp_uri() -> Iterator[str]:
    """A RabbitMQ for the stores alone: a service that another test starts would share their queues."""
    with running_rabbit() as uri:
        yield uri
