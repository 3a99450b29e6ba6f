"""Every shape of message that no service of ours would send, at every kind of queue there is."""

from __future__ import annotations

import pickle
import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import amqp
import pytest
from harness.faulty import FaultyStore
from harness.load import Load
from kombu import Connection

from chassis.messaging.topology import RPC_EXCHANGE, Subscription, dead_letter_queue, retry_exchange
from chassis.testing import wait_until
from punchcard.parts import SERVICES
from punchcard.reconcile import all_subscriptions

pytestmark = pytest.mark.journey

EVENT = '{"id": "evt_poison+2AA-", "type": "%s", "occurred_at": "2026-11-22T12:00:00Z", "data": %s}'
PICKLED = pickle.dumps({"id": "evt_poison"}, protocol=0)

#: Bodies that are wrong whatever the queue; ``%(type)s`` is the event's own name.
BODIES: Mapping[str, bytes] = {
    "empty": b"",
    "no JSON": b"{ broken",
    "no UTF-8": b"\xff\xfe{}",
    "UTF-16": '{"id": "x"}'.encode("utf-16"),
    "null": b"null",
    "number": b"7",
    "string": b'"text"',
    "list": b"[1, 2, 3]",
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "endless number": b'{"id": ' + b"9" * 10_000 + b"}",
    "NaN": b'{"id": NaN, "type": Infinity}',
    "pickle": PICKLED,
    "giant": b'{"id": "' + b"x" * 1_000_000 + b'"}',
    "NUL": b'{"id": "a\\u0000b", "type": "%(type)s", "occurred_at": "2026-11-22T12:00:00Z", "data": {}}',
    "raw NUL": b'{"id": "a\x00b"}',
    "half a surrogate": b'{"id": "a\\ud800b", "type": "%(type)s", "occurred_at": "2026-11-22T12:00:00Z", "data": {}}',
    "another envelope": b'{"event": "x", "payload": {}}',
    "another type": b'{"id": "evt_1", "type": "no.such.v1", "occurred_at": "2026-11-22T12:00:00Z", "data": {}}',
    "type is no text": b'{"id": "evt_1", "type": ["%(type)s"], "occurred_at": "2026-11-22T12:00:00Z", "data": {}}',
    "no time": b'{"id": "evt_1", "type": "%(type)s", "occurred_at": "yesterday", "data": {}}',
    "year 0": b'{"id": "evt_1", "type": "%(type)s", "occurred_at": "0000-00-00T00:00:00Z", "data": {}}',
    "no data": b'{"id": "evt_1", "type": "%(type)s", "occurred_at": "2026-11-22T12:00:00Z"}',
    "data is a list": b'{"id": "evt_1", "type": "%(type)s", "occurred_at": "2026-11-22T12:00:00Z", "data": [1]}',
    "empty data": b'{"id": "evt_1", "type": "%(type)s", "occurred_at": "2026-11-22T12:00:00Z", "data": {}}',
    "a request": b'{"args": [], "kwargs": {}}',
    "arguments by place": b'{"args": [1, 2], "kwargs": {}}',
    "arguments are a list": b'{"args": [], "kwargs": [1]}',
    "unknown arguments": b'{"args": [], "kwargs": {"__class__": "x", "self": 1}}',
}

#: Histories that no broker has written. At a queue from which the broker itself takes them, RabbitMQ 3.10 falls over
#: one: the queue's process ends in `rabbit_dead_letter`, and the third time within half a minute it stays away.
#: Services pass no such history on (`chassis.messaging.failures`), so it is sent to where they take it from.
DEATHS: Mapping[str, dict[str, Any]] = {
    "deaths are a text": {"application_headers": {"x-death": "often"}},
    "deaths are numbers": {"application_headers": {"x-death": [5]}},
    "deaths are empty tables": {"application_headers": {"x-death": [{}]}},
    "deaths of a queue that is a list": {"application_headers": {"x-death": [{"queue": [1], "reason": {"a": 1}}]}},
}

#: Properties that are wrong whatever the body.
PROPERTIES: Mapping[str, dict[str, Any]] = {
    "no content type": {"content_type": None},
    "content type of a pickle": {"content_type": "application/x-python-serialize", "content_encoding": "binary"},
    "content type of YAML": {"content_type": "application/x-yaml"},
    "unknown encoding": {"content_encoding": "no-such-encoding"},
    "half a surrogate in UTF-7": {"content_encoding": "utf-7"},
    "a codec that is none of text": {"content_encoding": "zlib"},
    "compressed, it says": {"application_headers": {"compression": "application/x-bz2"}},
    "attempts as text": {"application_headers": {"x-attempt": "many"}},
    "attempts below zero": {"application_headers": {"x-attempt": -5}},
    "attempts beyond reason": {"application_headers": {"x-attempt": 2**40}},
    "attempts as a table": {"application_headers": {"x-attempt": {"a": [1]}}},
    "correlation is a table": {"application_headers": {"correlation_id": {"a": 1}}},
    "correlation is long": {"application_headers": {"correlation_id": "x" * 20_000}},
    "correlation breaks the line": {"application_headers": {"correlation_id": "a\nb\x00c"}},
    "call stack is a number": {"application_headers": {"nameko.call_id_stack": 7}},
    "identity is a number": {"application_headers": {"identity": 9}},
    "identity is nonsense": {"application_headers": {"identity": "a.b.c"}},
    "time limit as text": {"application_headers": {"timeout_ms": "soon"}},
    "time limit below zero": {"application_headers": {"timeout_ms": -1}},
    "time limit beyond reason": {"application_headers": {"timeout_ms": 2**62}},
    "reply exchange is unknown": {"application_headers": {"reply_exchange": "no such exchange"}},
    "reply exchange is a number": {"application_headers": {"reply_exchange": 5}},
    **DEATHS,
    "a thousand headers": {"application_headers": {f"h{number}": "x" * 50 for number in range(1000)}},
    "a header's name is odd": {"application_headers": {"a\nb": "c\nd"}},
}


class OutOfTime(amqp.Message):
    """A message with a header that says a time of no calendar."""

    _IN_TIME = datetime(2026, 11, 22, tzinfo=UTC)

    def __init__(self, body: bytes, **properties: Any) -> None:
        super().__init__(body, **{**properties, "application_headers": {"at": self._IN_TIME}})

    def _serialize_properties(self) -> bytes:
        in_time = struct.pack(">Q", int(self._IN_TIME.timestamp()))
        packed: bytes = super()._serialize_properties()
        assert in_time in packed
        return packed.replace(in_time, struct.pack(">Q", 2**50))


def messages(event: str) -> Iterator[amqp.Message]:
    """Every shape, for a queue of `event`."""
    plain = {"content_type": "application/json", "content_encoding": "utf-8", "application_headers": {}}
    for body in BODIES.values():
        yield amqp.Message(body.replace(b"%(type)s", event.encode()), **plain)
    wrong = (EVENT % (event, "{}")).encode()
    for properties in PROPERTIES.values():
        found = {name: value for name, value in {**plain, **properties}.items() if value is not None}
        yield amqp.Message(wrong, **found)
    yield OutOfTime(wrong, **plain)


class Poisoner:
    """Publishes to the store's broker, past every rule of the chassis."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self.sent = 0

    def put(self, message: amqp.Message, exchange: str, key: str, **properties: str) -> None:
        message.properties.update(properties)
        self._channel.basic_publish(message, exchange=exchange, routing_key=key)
        self.sent += 1

    def flush(self) -> None:
        """Return once the broker has read all of it."""
        self._channel.exchange_declare(RPC_EXCHANGE, "topic", passive=True)


def test_poison_at_some_queues_of_every_kind(faulty: FaultyStore, rng: random.Random) -> None:
    """What can be read by nobody is answered, parked with its cause or dropped; no process dies, nothing is stuck."""
    handlers = all_subscriptions()
    poison(faulty, rng, rng.sample(handlers, 2), rng.sample(SERVICES, 2))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_poison_at_every_queue(faulty: FaultyStore, rng: random.Random) -> None:
    """All of it at once."""
    poison(faulty, rng, all_subscriptions(), SERVICES)


def poison(faulty: FaultyStore, rng: random.Random, handlers: Sequence[Subscription], services: Sequence[str]) -> None:
    """Send every shape to the queues of these handlers and services while customers buy, and see that all is well."""
    names = [*SERVICES, "gateway"]
    before = {name: faulty.pid_of(name) for name in names}
    losses_before = {name: faulty.lines_of(name, "lost its connection") for name in names}
    parked_before = parked(faulty)
    with Connection(faulty.rabbit.uri) as connection:
        poisoner = Poisoner(connection.default_channel)
        with Load(faulty, rng) as customers:
            for wanted in handlers:
                poison_events(poisoner, wanted)
            for name in services:
                poison_requests(poisoner, name)
            poison_broadcasts(poisoner)
            poisoner.flush()
            customers.wait_answered(3)
    wait_until(lambda: not any(faulty.all_depths().values()), "every queue to be empty", 300)
    customers.assert_kept()
    assert {name: faulty.pid_of(name) for name in names} == before, "a process ended"
    assert {name: faulty.lines_of(name, "lost its connection") for name in names} == losses_before
    shapes = len(list(messages("x.y.v1")))
    # of an event's queue, reached in two ways, and of the dead queue every one; of requests those without an address
    of_handler = shapes * 3 - len(DEATHS)
    wait_until(lambda: parked(faulty) - parked_before >= len(handlers) * of_handler, "all of it to be parked", 60)
    for name in names:
        assert "x" * 200 not in faulty.log_of(name), "a body is logged"
    for name in SERVICES:
        assert all(cause for (cause,) in faulty.rows(name, "SELECT cause FROM dead_letter"))
        with faulty.database(name) as database:
            database.exec_driver_sql("DELETE FROM dead_letter")


def poison_events(poisoner: Poisoner, wanted: Subscription) -> None:
    """At its queue, at its service's dead queue, and by way of a delay queue."""
    for message in messages(wanted.event):
        poisoner.put(message, "", wanted.queue)
    for message in messages(wanted.event):
        poisoner.put(message, "", dead_letter_queue(wanted.service))
    for message in messages(wanted.event):
        if "x-death" not in (message.properties.get("application_headers") or {}):
            poisoner.put(message, retry_exchange(1), wanted.queue)


def poison_requests(poisoner: Poisoner, service: str) -> None:
    """At its requests and where it is asked whether it is well, half of it with somebody to answer to."""
    for key in (f"{service}.health", f"{service}.no_such_method", f"health.{service}"):
        for number, message in enumerate(messages("x.y.v1")):
            answered = {"reply_to": "nobody", "correlation_id": "poison"} if number % 2 else {}
            poisoner.put(message, RPC_EXCHANGE, key, **answered)


def poison_broadcasts(poisoner: Poisoner) -> None:
    """At the queue of each gateway, which is its own."""
    wanted = Subscription("gateway", "accounts.credential_revoked.v1")
    for message in messages(wanted.event):
        poisoner.put(message, wanted.exchange, wanted.routing_key)


def parked(faulty: FaultyStore) -> int:
    """How many messages all services have parked."""
    return sum(int(faulty.rows(name, "SELECT count(*) FROM dead_letter")[0][0]) for name in SERVICES)
