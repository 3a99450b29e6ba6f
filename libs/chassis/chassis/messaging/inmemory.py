"""kombu's in-memory transport, woken on put instead of polled, for the embedded mode.

Adds what the chassis relies on a broker for: per-message expiry, queues that dead-letter after a delay, `mandatory`.
Everything lives in this process and is gone with it; the relay offers the recent outbox again at the next start.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from queue import Empty
from typing import Any, ClassVar

from kombu.transport import memory, virtual


class Unroutable(Exception):
    """A mandatory message found no queue."""


class _State:
    """What a broker would keep: the queues, their arguments, and who is to be woken."""

    def __init__(self) -> None:
        self.broker = virtual.BrokerState()
        self.queues: dict[str, deque[tuple[float | None, dict[str, Any]]]] = {}
        self.arguments: dict[str, dict[str, Any]] = {}
        self.waiting: defaultdict[str, set[Transport]] = defaultdict(set)


class Channel(memory.Channel):
    """A channel on the queues of this process."""

    body_encoding = None
    connection: Transport

    @property
    def _shared(self) -> _State:
        return self.connection.shared

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return queue in self._shared.queues

    def _new_queue(self, queue: str, arguments: dict[str, Any] | None = None, **_: Any) -> None:
        self._shared.queues.setdefault(queue, deque())
        self._shared.arguments.setdefault(queue, arguments or {})

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        waiting = self._shared.queues.get(queue)
        while waiting:
            expires, message = waiting.popleft()
            if expires is None or expires > time.monotonic():
                return message
        raise Empty

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        if queue not in self._shared.queues:
            return  # as a broker does: nobody declared it
        arguments = self._shared.arguments[queue]
        properties = {**message["properties"], "delivery_tag": self._next_delivery_tag()}
        copy = {**message, "properties": properties}
        delay_ms = arguments.get("x-message-ttl")
        if delay_ms is not None and "x-dead-letter-exchange" in arguments:
            timer = threading.Timer(delay_ms / 1000, self._put, (properties["delivery_info"]["routing_key"], copy))
            timer.daemon = True
            timer.start()
            return
        expiration = properties.get("expiration")
        expires = None if expiration is None else time.monotonic() + int(expiration) / 1000
        self._shared.queues[queue].append((expires, copy))
        for transport in tuple(self._shared.waiting[queue]):
            transport.woken.set()

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **_: Any) -> None:
        for queue in self._lookup(exchange, routing_key):
            self._put(queue, message)

    def _size(self, queue: str) -> int:
        return len(self._shared.queues.get(queue, ()))

    def _delete(self, queue: str, *_: Any, **__: Any) -> None:
        self._shared.queues.pop(queue, None)
        self._shared.arguments.pop(queue, None)

    def _purge(self, queue: str) -> int:
        size = self._size(queue)
        self._shared.queues.get(queue, deque()).clear()
        return size

    def basic_publish(
        self, message: dict[str, Any], exchange: str, routing_key: str, mandatory: bool = False, **options: Any
    ) -> None:
        if mandatory:
            found = self._lookup(exchange, routing_key) if exchange else [routing_key]
            if not any(self._has_queue(queue) for queue in found):
                raise Unroutable(f"no queue for {routing_key!r} on {exchange!r}")
        super().basic_publish(message, exchange, routing_key, **options)

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[..., Any], consumer_tag: str, **options: Any
    ) -> None:
        super().basic_consume(queue, no_ack, callback, consumer_tag, **options)
        self._shared.waiting[queue].add(self.connection)
        self.connection.woken.set()

    def basic_cancel(self, consumer_tag: str) -> None:
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is not None:
            self._shared.waiting[queue].discard(self.connection)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        super().basic_ack(delivery_tag, multiple)
        self.connection.woken.set()  # the prefetch window has room again

    def close(self) -> None:
        if self.connection is not None:
            for waiting in self._shared.waiting.values():
                waiting.discard(self.connection)
        virtual.Channel.close(self)


class Transport(memory.Transport):
    """All connections of this process share one broker."""

    Channel = Channel
    shared: ClassVar[_State] = _State()

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.state = self.shared.broker
        self.woken = threading.Event()

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.woken.clear()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError from None
                self.woken.wait(left)

    @classmethod
    def forget_everything(cls) -> None:
        """Empty the broker, as a restart of the process would; for tests."""
        cls.shared = _State()


assert socket.timeout is TimeoutError  # what callers of drain_events catch
