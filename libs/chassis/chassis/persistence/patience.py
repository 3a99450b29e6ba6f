"""psycopg2 under eventlet, with an end to its patience.

A database whose network has gone without a word answers neither a query nor a new connection, and libpq's own limits
do not hold when it is polled. A greenlet that waited for ever would keep its connection, its worker and its message.
"""

from __future__ import annotations

from typing import Any

from eventlet import hubs
from psycopg2 import OperationalError, extensions

#: Seconds that a connection may be silent: longer than any statement of ours takes.
SILENCE_S = 30


def limit_silence(seconds: float = SILENCE_S) -> None:
    """Give up a connection that has been silent for so long in the middle of a statement; other greenlets go on.

    Args:
        seconds: as long as the longest statement may take.
    """

    def wait(connection: Any) -> None:
        while (state := connection.poll()) != extensions.POLL_OK:
            hubs.trampoline(
                connection.fileno(),
                read=state == extensions.POLL_READ,
                write=state == extensions.POLL_WRITE,
                timeout=seconds,
                timeout_exc=OperationalError("the database is silent"),  # psycopg2 closes the connection
            )

    extensions.set_wait_callback(wait)
