"""What happens to an event that arrives: checked, handled, acknowledged; else tried again later; else parked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from marshmallow import Schema, ValidationError

from chassis.context import RequestContext
from chassis.messages import ENVELOPE, Event
from chassis.messaging.relay import Outgoing
from chassis.messaging.topology import RETRY_DELAYS_S, Subscription, retry_exchange
from chassis.persistence.database import Database
from chassis.persistence.tables import DEAD_LETTER
from kernel.ids import new_id

_log = logging.getLogger(__name__)

ATTEMPT_HEADER = "x-attempt"
CORRELATION_HEADER = "correlation_id"


class Malformed(Exception):
    """A message that no retry can mend. The text is the cause under which it is parked; never a value of the body."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came off the queue, before anything is believed of it."""

    queue: str
    body: bytes
    headers: Mapping[str, Any]
    content_type: str | None

    @property
    def attempt(self) -> int:
        """1 for the first delivery; counted in a header of our own."""
        value = self.headers.get(ATTEMPT_HEADER, 1)
        return value if isinstance(value, int) and value > 0 else 1

    @property
    def context(self) -> RequestContext:
        """The correlation id that the event carries on from the request that caused it."""
        value = self.headers.get(CORRELATION_HEADER)
        return RequestContext(value if isinstance(value, str) and len(value) <= 64 else new_id("cor"))


def read_event(arrived: Arrived, subscription: Subscription, schema: Schema) -> Event:
    """Check a message before anybody works with it.

    Raises:
        Malformed: with the cause.
    """
    if arrived.content_type != "application/json":
        raise Malformed("content_type")
    try:
        envelope = ENVELOPE.load(json.loads(arrived.body))
    except (ValueError, RecursionError) as error:
        raise Malformed("not_json" if not isinstance(error, ValidationError) else "envelope") from error
    if envelope["type"] != subscription.event:
        raise Malformed("type")
    try:
        data = schema.load(envelope["data"])
    except ValidationError as error:
        raise Malformed("data:" + ",".join(sorted(map(str, error.messages)))[:80]) from error
    return Event(envelope["id"], envelope["type"], envelope["occurred_at"], data, subscription.queue, arrived.attempt)


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
        row = {
            "id": new_id("dlt"),
            "queue": arrived.queue,
            "event_id": _event_id(arrived.body),
            "cause": cause[:100],
            "attempts": arrived.attempt,
            "headers": json.dumps({key: str(value)[:200] for key, value in arrived.headers.items()}),
            "body": arrived.body,
        }
        try:
            with self._database.transaction() as transaction:
                transaction.execute(sa.insert(DEAD_LETTER).values(**row, parked_at=transaction.now, replayed_at=None))
        except Exception:
            # the database is away: the message may not be lost, so it comes back later
            self._retry(arrived, self._delays_s[-1] if self._delays_s else 1)
            return
        _log.error("parked a message of %s: %s after %d attempts", arrived.queue, cause, arrived.attempt)

    def _retry(self, arrived: Arrived, delay_s: int) -> None:
        headers = {
            ATTEMPT_HEADER: arrived.attempt + 1,
            CORRELATION_HEADER: arrived.context.correlation_id,
        }  # and nothing of x-death: the broker would take the message for one that goes in circles
        message = Outgoing(new_id("rty"), arrived.body, retry_exchange(delay_s), arrived.queue, headers)
        self._publish([message])


def _event_id(body: bytes) -> str | None:
    try:
        found = json.loads(body).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return found[:64] if isinstance(found, str) else None
