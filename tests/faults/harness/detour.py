"""Events on a detour: they reach their queues twice, or in another order than they were sent in."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kombu import Connection, Consumer, Queue

from chassis.messaging.topology import Subscription
from punchcard.parts import SERVICES
from punchcard.reconcile import all_subscriptions

#: How long events are collected before they go on.
_COLLECT_S = 0.3


@dataclass(frozen=True, eq=False)
class _Going:
    """A copy of a message on its way to one queue."""

    message: Any
    queue: str


class Detour:
    """A context in which every event first comes here and then goes on to each queue that is bound to it.

    The queues are unbound from their exchanges meanwhile, so the broker is the real one and no process knows.

    Args:
        uri: the broker.
        rng: how they are mixed.
        copies: how often each one arrives.
    """

    def __init__(self, uri: str, rng: random.Random, copies: int = 1) -> None:
        self._uri = uri
        self._rng = rng
        self._copies = copies
        self._wanted: Sequence[Subscription] = all_subscriptions()
        self._held: list[_Going] = []
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="detour", daemon=True)
        #: Messages that went on, copies included; and how many of them came out of the order they had come in.
        self.passed = self.overtaken = 0

    def __enter__(self) -> Detour:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with Connection(self._uri) as connection:
            channel = connection.channel()
            here = Queue("detour", durable=False, exclusive=True, auto_delete=False)(channel)
            here.declare()
            exchanges = [f"{name}.events" for name in SERVICES]
            for exchange in exchanges:
                channel.queue_bind(here.name, exchange, "#")
            for wanted in self._wanted:
                channel.queue_unbind(wanted.queue, wanted.exchange, wanted.routing_key)
            self._ready.set()
            with Consumer(channel, [here], on_message=self._take, no_ack=True, auto_declare=False):
                while not self._stop.is_set():
                    self._collect(connection)
                    self._pass_on(connection, self._rng.random() * 0.5)
                for wanted in self._wanted:
                    channel.queue_bind(wanted.queue, wanted.exchange, wanted.routing_key)
                for exchange in exchanges:
                    channel.queue_unbind(here.name, exchange, "#")
                self._collect(connection)
                self._pass_on(connection, 0.0)

    def _take(self, message: Any) -> None:
        came_by = message.delivery_info["exchange"], message.delivery_info["routing_key"]
        for wanted in self._wanted:
            if (wanted.exchange, wanted.routing_key) == came_by:
                self._held += [_Going(message, wanted.queue) for _ in range(self._copies)]

    def _collect(self, connection: Connection) -> None:
        until = time.monotonic() + _COLLECT_S
        while (left := until - time.monotonic()) > 0:
            try:
                connection.drain_events(timeout=left)
            except TimeoutError:
                return

    def _pass_on(self, connection: Connection, kept: float) -> None:
        """Send on what was collected, mixed, but for a part that others overtake."""
        mixed = self._rng.sample(self._held, len(self._held))
        going = mixed[int(len(mixed) * kept) :]
        producer = connection.Producer()
        for each in going:
            message = each.message
            producer.publish(
                message.body, exchange="", routing_key=each.queue, serializer=None, delivery_mode=2,
                content_type=message.content_type, content_encoding=message.content_encoding,
                headers=dict(message.headers), message_id=message.properties.get("message_id"),
            )  # fmt: skip
        places = [self._held.index(each) for each in going]
        self.overtaken += sum(later < earlier for earlier, later in itertools.pairwise(places))
        self.passed += len(going)
        self._held = [each for each in self._held if each not in going]
