"""What the tests of the chassis call and send to. Effects are rows, so that the tests can count them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import eventlet
import sqlalchemy as sa
from marshmallow import fields

from chassis.context import correlation_id
from chassis.messages import Event, EventType, RequestSchema, TolerantSchema
from chassis.persistence import Database, add_messaging_tables
from chassis.service import Call, Provided, Runtime, Service, consume, consume_many, rpc

METADATA = sa.MetaData()  # not the chassis' own, which every service's metadata is made from
add_messaging_tables(METADATA)
EFFECT = sa.Table("effect", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("what", sa.String(200)))


class Text(RequestSchema):
    text = fields.String(required=True)


class Nothing(RequestSchema):
    pass


class Said(TolerantSchema):
    text = fields.String(required=True)


SAID = EventType("echo.said.v1", Said(), {"text": "hello"})
COUNTED = EventType("echo.counted.v1", Said(), {"text": "one"})


@dataclass
class App:
    database: Database


def bootstrap(runtime: Runtime) -> App:
    return App(runtime.database)


class EchoService(Service):
    name = "echo"
    app = Provided(bootstrap)

    @rpc(request=Text(), reply=Text(), anonymous=True)
    def echo(self, call: Call) -> dict[str, Any]:
        return call.data

    @rpc(request=Text(), reply=Text(), anonymous=True)
    def note(self, call: Call) -> dict[str, Any]:
        self._effect(call.data["text"])
        return call.data

    @rpc(request=Text(), reply=Text(), anonymous=True)
    def note_slowly(self, call: Call) -> dict[str, Any]:
        self._effect(f"began {call.data['text']}")
        eventlet.sleep(2)
        self._effect(f"ended {call.data['text']}")
        return call.data

    @rpc(request=Text(), reply=Text(), anonymous=True)
    def say(self, call: Call) -> dict[str, Any]:
        with self.app.database.transaction() as transaction:
            transaction.emit(SAID, call.data)
        return call.data

    @rpc(request=Text(), reply=Text(), anonymous=True)
    def count(self, call: Call) -> dict[str, Any]:
        """Emit an event for each word."""
        with self.app.database.transaction() as transaction:
            for word in call.data["text"].split():
                transaction.emit(COUNTED, {"text": word})
        return call.data

    @rpc(request=Nothing(), reply=Text())
    def whoami(self, call: Call) -> dict[str, Any]:
        return {"text": call.caller.email}

    @rpc(request=Text(), reply=Text(), anonymous=True)
    def crash(self, call: Call) -> dict[str, Any]:
        raise ValueError(f"a secret: {call.data['text']}")

    @rpc(request=Nothing(), reply=Text(), anonymous=True)
    def answer_nonsense(self, call: Call) -> dict[str, Any]:
        return {"no": "text"}

    @consume("echo.said.v1", Said())
    def on_said(self, event: Any) -> None:
        text = event.data["text"]
        if text == "always fails" or (text == "fails twice" and event.attempt < 3):
            self._effect(f"attempt {event.attempt}")
            raise RuntimeError("not yet")
        if text == "slow":
            self._effect("began slow")
            eventlet.sleep(2)
        with self.app.database.transaction() as transaction:
            if transaction.accept(event):
                transaction.execute(sa.insert(EFFECT).values(what=f"handled {text}"))

    @consume("echo.whispered.v1", Said())
    def on_whispered(self, event: Any) -> None:
        with self.app.database.transaction() as transaction:
            if transaction.accept(event):
                transaction.execute(sa.insert(EFFECT).values(what=f"heard {event.data['text']}"))

    @consume_many("echo.counted.v1", Said(), most=10)
    def on_counted(self, events: list[Event]) -> None:
        with self.app.database.transaction() as transaction:
            for event in transaction.accept_each(events):
                text = event.data["text"]
                transaction.insert(EFFECT, {"what": f"counted {text} of {len(events)} for {correlation_id()}"})
                if text == "slow":
                    eventlet.sleep(1)
                if text == "spoils":
                    raise RuntimeError("none of them")

    def _effect(self, what: str) -> None:
        with self.app.database.transaction() as transaction:
            transaction.execute(sa.insert(EFFECT).values(what=what))
