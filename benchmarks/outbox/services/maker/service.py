"""A service of the chassis that writes a row and an event in each transaction, as fast as it is told to."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from marshmallow import fields

from chassis.messages import EventType, RequestSchema, StrictInteger, TolerantSchema
from chassis.persistence.tables import METADATA
from chassis.service import Call, Provided, Runtime, Service, rpc

MADE = sa.Table(
    "made", METADATA, sa.Column("number", sa.Integer, primary_key=True), sa.Column("what", sa.String(200))
)  # fmt: skip


class Made(TolerantSchema):
    """What was made."""

    number = StrictInteger(required=True)
    what = fields.String(required=True)


WAS_MADE = EventType("maker.was_made.v1", Made(), {"number": 1, "what": "something"})


class Make(RequestSchema):
    """How many, from which number on, and how long to wait after each."""

    first = StrictInteger(required=True)
    count = StrictInteger(required=True)
    what = fields.String(required=True)
    pause_ms = StrictInteger(required=True)


class Times(RequestSchema):
    """Moments of this machine's monotonic clock, one for each, in order."""

    times = fields.List(fields.Float(), required=True)


def bootstrap(runtime: Runtime) -> Runtime:
    """The application is what the chassis provides."""
    return runtime


class MakerService(Service):
    """Makes events."""

    name = "maker"
    app = Provided(bootstrap)

    @rpc(request=Make(), reply=Times(), anonymous=True)
    def make(self, call: Call) -> dict[str, Any]:
        """When each event was committed; the first moment is that before the first of them."""
        wanted = call.data
        times = [time.monotonic()]
        for number in range(wanted["first"], wanted["first"] + wanted["count"]):
            with self.app.database.transaction() as transaction:
                row = {"number": number, "what": wanted["what"]}
                transaction.execute(sa.insert(MADE), row)
                transaction.emit(WAS_MADE, row)
            times.append(time.monotonic())
            if wanted["pause_ms"]:
                time.sleep(wanted["pause_ms"] / 1000)
        return {"times": times}
