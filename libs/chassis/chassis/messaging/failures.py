"""Where events go that could not be handled: tried again later, and parked with their cause after the last attempt."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from chassis.messages import EVENT_ID
from chassis.messaging.incoming import ATTEMPT_HEADER, CORRELATION_HEADER, Arrived
from chassis.messaging.relay import Outgoing
from chassis.messaging.topology import RETRY_DELAYS_S, retry_exchange
from chassis.observability.metrics import EVENTS, PARKED, short_cause
from chassis.persistence.database import Database
from chassis.persistence.tables import DEAD_LETTER
from kernel.errors import Refusal
from kernel.ids import new_id

_log = logging.getLogger(__name__)


class FailureDesk:
    """Where events go that could not be handled.

    Args:
        database: keeps the parked ones.
        publish: sends messages and waits for the broker's confirm (`Relay.publish`), so that the original is
            acknowledged only once its successor is safe.
        delays_s: seconds before each further attempt.
    """

    def __init__(
        self,
        database: Database,
        publish: Callable[[Sequence[Outgoing]], None],
        delays_s: Sequence[int] = RETRY_DELAYS_S,
    ) -> None:
        self._database = database
        self._publish = publish
        self._delays_s = delays_s

    def failed(self, arrived: Arrived, cause: str) -> None:
        """A handler raised: try again later, or park after the last attempt."""
        if arrived.attempt > len(self._delays_s):
            self.park(arrived, cause)
        else:
            self._retry(arrived, self._delays_s[arrived.attempt - 1])

    def park(self, arrived: Arrived, cause: str) -> None:
        """Keep the message with its cause, for somebody to look at and replay."""
        headers = {_plain(str(name)): _plain(str(value))[:200] for name, value in arrived.headers.items()}
        row = {
            "id": new_id("dlt"),
            "queue": arrived.queue,
            "event_id": _event_id(arrived.body),
            "cause": _plain(cause)[:100],
            "attempts": arrived.attempt,
            "headers": json.dumps(headers),
            "body": arrived.body,
        }
        try:
            with self._database.transaction() as transaction:
                transaction.execute(sa.insert(DEAD_LETTER).values(**row, parked_at=transaction.now, replayed_at=None))
        except Refusal:
            # the database is away: the message may not be lost, so it comes back later
            self._retry(arrived, self._delays_s[-1] if self._delays_s else 1)
            return
        PARKED.labels(arrived.queue, short_cause(_plain(cause))).inc()
        _log.error("parked a message of %s: %s after %d attempts", arrived.queue, cause, arrived.attempt)

    def _retry(self, arrived: Arrived, delay_s: int) -> None:
        headers = {
            ATTEMPT_HEADER: arrived.attempt + 1,
            CORRELATION_HEADER: arrived.context.correlation_id,
        }  # and nothing of x-death: the broker would take the message for one that goes in circles
        message = Outgoing(new_id("rty"), arrived.body, retry_exchange(delay_s), arrived.queue, headers)
        self._publish([message])
        EVENTS.labels(arrived.queue, "retried").inc()


def _event_id(body: bytes) -> str | None:
    try:
        found = json.loads(body).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, str) and EVENT_ID.match(found) else None


def _plain(text: str) -> str:
    """`text` as any database can store it: what a sender made up may hold NUL or half of a surrogate pair."""
    return "".join(character if character.isprintable() else "?" for character in text)
