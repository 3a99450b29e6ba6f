"""What arrives: checked before anybody works with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError

from chassis.compiled import compiled
from chassis.context import RequestContext
from chassis.messages import ENVELOPE, Event
from chassis.messaging.topology import Subscription
from kernel.ids import new_id

_MOST_ATTEMPTS = 1000
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
        return value if isinstance(value, int) and 0 < value < _MOST_ATTEMPTS else 1

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
        envelope = compiled(ENVELOPE).load(json.loads(arrived.body))
    except (ValueError, RecursionError) as error:
        raise Malformed("not_json") from error
    except ValidationError as error:
        raise Malformed("envelope") from error
    if envelope["type"] != subscription.event:
        raise Malformed("type")
    try:
        data = compiled(schema).load(envelope["data"])
    except ValidationError as error:
        raise Malformed("data:" + ",".join(sorted(map(str, error.messages)))[:80]) from error
    return Event(
        envelope["id"], envelope["type"], envelope["occurred_at"], data, subscription.queue, arrived.attempt,
        arrived.context.correlation_id,
    )  # fmt: skip
