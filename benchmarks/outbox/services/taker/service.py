"""A service of the chassis that writes a row for each event; inbox and row stand or fall together."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from marshmallow import fields

from chassis.messages import Event, RequestSchema, StrictInteger, TolerantSchema
from chassis.persistence import Database
from chassis.persistence.tables import METADATA
from chassis.service import Call, Provided, Runtime, Service, consume_many, rpc

TAKEN = sa.Table(
    "taken", METADATA, sa.Column("number", sa.Integer, primary_key=True), sa.Column("what", sa.String(200))
)  # fmt: skip


class Made(TolerantSchema):
    """What was made."""

    number = StrictInteger(required=True)
    what = fields.String(required=True)


class Range(RequestSchema):
    """Which ones are asked about."""

    first = StrictInteger(required=True)
    count = StrictInteger(required=True)


class Times(RequestSchema):
    """Moments of this machine's monotonic clock, one for each, in order; nothing while some are missing."""

    times = fields.List(fields.Float(), required=True)


@dataclass
class App:
    """The application.

    Args:
        database: the service's.
        times: when each was committed, by its number.
    """

    database: Database
    times: dict[int, float] = field(default_factory=dict)


def bootstrap(runtime: Runtime) -> App:
    """Build the application."""
    return App(runtime.database)


class TakerService(Service):
    """Takes events."""

    name = "taker"
    app = Provided(bootstrap)

    @consume_many("maker.was_made.v1", Made())
    def on_was_made(self, events: list[Event]) -> None:
        """Each event becomes a row."""
        with self.app.database.transaction() as transaction:
            numbers = []
            for event in transaction.accept_each(events):
                transaction.insert(TAKEN, {"number": event.data["number"], "what": event.data["what"]})
                numbers.append(event.data["number"])
            transaction.after_commit(lambda: self.app.times.update(dict.fromkeys(numbers, time.monotonic())))

    @rpc(request=Range(), reply=Times(), anonymous=True)
    def taken(self, call: Call) -> dict[str, Any]:
        """When each was committed."""
        wanted = range(call.data["first"], call.data["first"] + call.data["count"])
        times = self.app.times
        return {"times": [times[number] for number in wanted] if all(number in times for number in wanted) else []}
