"""One live connection to the bus, and the thread that keeps it alive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import amqp
from amqp.exceptions import PreconditionFailed
from kombu import entity, messaging
from kombu.connection import Connection

from chassis.messaging.fast_path import fast_path

_log = logging.getLogger(__name__)

HEARTBEAT_S = 30
#: How often a link looks whether a heartbeat is due, and whatever else is to be looked after now and then.
_BEAT_EVERY_S = 5.0
#: How long a drain waits before it looks whether it should stop or send a heartbeat.
_TURN_S = 0.5
#: A drain that took this much longer than it may means that the whole process stood still.
_FROZEN_S = 0.25
_RECONNECT_S = (0.1, 0.5, 1, 2, 5)

PERSISTENT = 2
TRANSIENT = 1


def is_memory(uri: str) -> bool:
    """Whether the bus is the embedded one."""
    return uri.startswith("memory:")


def connect(uri: str) -> Connection:
    """A new, unopened connection to the bus.

    Args:
        uri: ``amqp://user:password@host:port/vhost`` or ``memory://``.
    """
    if is_memory(uri):
        return Connection(transport="chassis.messaging.inmemory:Transport")
    return Connection(uri, heartbeat=HEARTBEAT_S, connect_timeout=5, transport_options={"read_timeout": None})


def _publish_without_reading(connection: Connection) -> None:
    # py-amqp reads the socket before each publish to look for a blocked broker. Here another thread is reading it:
    # two readers would each get half of a frame.
    capabilities = getattr(connection.connection, "client_properties", {}).get("capabilities")
    if capabilities is not None:
        capabilities["connection.blocked"] = False


def _read_properties_or_none() -> None:
    # A header with a time that no calendar has makes py-amqp raise while it reads the frame: the connection ends, and
    # the next one meets the same message. Without its properties it is a message like any other that is malformed.
    load = amqp.Message._load_properties

    def load_or_none(message: Any, class_id: int, buffer: bytes, offset: int) -> Any:
        try:
            return load(message, class_id, buffer, offset)
        except (ValueError, OverflowError):
            message.properties = {}
            return offset

    amqp.Message._load_properties = load_or_none


_read_properties_or_none()


def _unpack_nothing(channel: Any) -> None:
    # kombu unpacks what a header of the sender's calls compressed: what cannot be unpacked ends the connection, comes
    # again on the next one and ends that too; what can may need all the memory there is. Nobody of ours compresses.
    if not isinstance(channel, amqp.Channel):
        return
    to_python = channel.message_to_python

    def as_it_came(raw: Any) -> Any:
        (raw.properties.get("application_headers") or {}).pop("compression", None)
        return to_python(raw)

    channel.message_to_python = as_it_came


class Link:
    """An open connection with one channel, safe to publish and acknowledge on from any thread.

    py-amqp writes frames in pieces: two writers at once would mix theirs, so each of its writes happens under a lock.
    Reading is done by one thread only (`drain`).
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        _publish_without_reading(connection)
        self.channel: Any = connection.channel()
        _unpack_nothing(self.channel)
        self._fast = fast_path(connection)
        #: Whether the broker is short of memory or disk: what is published waits in the socket until it no longer is.
        self.blocked = False
        connection.connection.on_blocked = partial(self._set_blocked, True)
        connection.connection.on_unblocked = partial(self._set_blocked, False)
        self._writing = threading.RLock()
        self._kept = False
        self._draining_since = self._drains_until = time.monotonic()
        #: Since when this process stood still, and until when what is read may have come in that time.
        self._frozen = (0.0, 0.0)

    def consume(
        self,
        queue: str | entity.Queue,
        on_message: Callable[[Any], None],
        *,
        no_ack: bool = False,
        prefetch: int | None = None,
    ) -> str:
        """Have messages of a queue delivered while the link is drained.

        Args:
            queue: a declared one by its name, or one to declare.
            on_message: called with each message; must not raise.
            no_ack: whether the broker forgets a message once it is sent.
            prefetch: messages at once that are not acknowledged; None for any number.

        Returns:
            The consumer's tag, for `cancel`.
        """
        declared = isinstance(queue, str)
        consumer = messaging.Consumer(
            self.channel,
            [entity.Queue(queue, no_declare=True) if declared else queue],
            no_ack=no_ack,
            on_message=on_message,
            auto_declare=not declared,
            prefetch_count=prefetch,
        )
        consumer.consume()
        (tag,) = consumer._active_tags.values()
        if self._fast is not None:
            self._fast.consume(self.channel.channel_id, tag, on_message)
        return str(tag)

    def _set_blocked(self, blocked: bool, *_reason: Any) -> None:
        _log.warning("the broker takes no messages" if blocked else "the broker takes messages again")
        self.blocked = blocked

    def publish(
        self,
        body: bytes | str,
        *,
        exchange: str,
        routing_key: str,
        headers: Mapping[str, Any] | None = None,
        persistent: bool = True,
        mandatory: bool = False,
        content_type: str = "application/json",
        acks: Any = None,
        **properties: Any,
    ) -> None:
        """Write one message to the socket. Says nothing about whether the broker took it.

        Args:
            body, exchange, routing_key, headers, content_type, properties: of the message.
            persistent: whether the broker keeps it over a restart.
            mandatory: whether it comes back when no queue wants it.
            acks: the delivery tag of a message that is done with once this one is written; leaves together with it.
        """
        properties["delivery_mode"] = PERSISTENT if persistent else TRANSIENT
        if self._fast is not None:
            properties["content_type"] = content_type
            properties["content_encoding"] = "utf-8"
            self._fast.publish(
                self.channel.channel_id, body, exchange, routing_key, mandatory, headers or {}, properties, acks
            )
            return
        with self._writing:
            message = self.channel.prepare_message(
                body,
                content_type=content_type,
                content_encoding="utf-8",
                headers=dict(headers or {}),
                properties=properties,
            )
            self.channel.basic_publish(message, exchange=exchange, routing_key=routing_key, mandatory=mandatory)
            if acks is not None:
                self.channel.basic_ack(acks)

    def ack(self, delivery_tag: Any) -> None:
        """Tell the broker that a message is done with."""
        if self._fast is not None:
            self._fast.ack(self.channel.channel_id, delivery_tag)
            return
        with self._writing:
            self.channel.basic_ack(delivery_tag)

    def ack_through(self, delivery_tags: Sequence[Any]) -> None:
        """Tell the broker that messages of this channel are done with: these, and all that came before the last."""
        with self._writing:
            if self.connection.transport.driver_type == "memory":
                for delivery_tag in delivery_tags:
                    self.channel.basic_ack(delivery_tag)
            else:
                self.channel.basic_ack(delivery_tags[-1], multiple=True)

    def branch(self) -> Link:
        """The same connection by a channel of its own, whose deliveries are acknowledged apart from the others."""
        other = copy(self)
        other.channel = self.connection.channel()
        _unpack_nothing(other.channel)
        return other

    def requeue(self, delivery_tag: Any) -> None:
        """Give a message back to its queue."""
        with self._writing:
            self.channel.basic_reject(delivery_tag, requeue=True)

    @contextmanager
    def second_channel(self) -> Iterator[Any]:
        """A channel for questions that the broker may refuse. For the draining thread only: it waits for answers."""
        if self._fast is not None:
            self._fast.pause()
        with self._writing:
            channel = self.connection.channel()
            try:
                yield channel
            finally:
                channel.close()

    def cancel(self, consumer_tag: str) -> None:
        """Take no further messages; what has arrived stays ours to acknowledge."""
        with self._writing:
            if self.connection.transport.driver_type == "memory":
                self.channel.basic_cancel(consumer_tag)
            else:
                # without waiting for the answer: only the draining thread may read
                self.channel.basic_cancel(consumer_tag, nowait=True)

    def drain(self, seconds: float) -> bool:
        """Deal with what the broker sends; False if nothing came within `seconds`."""
        now = time.monotonic()
        self._draining_since, self._drains_until = now, now + seconds
        try:
            if self._fast is None:
                self.connection.drain_events(timeout=seconds)
            else:
                self._fast.drain(seconds)
        except TimeoutError:
            return False
        finally:
            self._notice_standstill()
            if self._fast is not None and not self._kept:
                self._fast.pause()
        return True

    @contextmanager
    def drained_by_me(self) -> Iterator[None]:
        """Nobody else reads in the block, not even between two drains; saves work for each of them."""
        self._kept = True
        try:
            yield
        finally:
            self._kept = False
            if self._fast is not None:
                self._fast.pause()

    def earliest_arrival(self) -> float:
        """The moment (`time.monotonic()`) from which the message being read may have waited in our socket.

        Now, unless this process was frozen (stopped, swapped out, its machine paused): then what is read right after
        may have come at any time since. The age of a request is judged without comparing two machines' clocks.
        """
        self._notice_standstill()  # the message may be what ends the drain that was frozen
        since, until = self._frozen
        now = time.monotonic()
        return since if now < until else now

    def _notice_standstill(self) -> None:
        now = time.monotonic()
        if now > self._drains_until + _FROZEN_S:
            self._frozen = (self._draining_since, now + _FROZEN_S)
            self._drains_until = now  # noticed

    def beat(self) -> None:
        """Send a heartbeat if one is due, and notice if the broker's have stopped.

        Raises:
            ConnectionForced: the broker was silent for two intervals.
        """
        if self.connection.supports_heartbeats and self.connection.heartbeat:
            with self._writing:
                self.connection.heartbeat_check()


class Listener:
    """Keeps one link alive: connects, sets it up, drains it, and does so again when it breaks.

    Args:
        uri: the bus.
        name: for logs.
        set_up: called with each new link, before it is drained; declares and consumes.
        on_lost: called whenever a link was lost or could not be made.
        tend: called every few seconds while the link lives, by the thread that drains it.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        set_up: Callable[[Link], None],
        on_lost: Callable[[], None] = lambda: None,
        tend: Callable[[Link], None] = lambda _link: None,
    ) -> None:
        self._uri = uri
        self._name = name
        self._set_up = set_up
        self._on_lost = on_lost
        self._tend = tend
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self.link: Link | None = None

    @property
    def connected(self) -> bool:
        """Whether a link is open and set up."""
        return self.link is not None

    def start(self) -> None:
        """Start the thread; does not wait for the connection."""
        self._thread = threading.Thread(target=self._run, name=f"listener-{self._name}", daemon=True)
        self._thread.start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until there is a link; whether there is one."""
        return self._ready.wait(timeout_s)

    def stop(self) -> None:
        """Close the link and end the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            connection = connect(self._uri)
            try:
                connection.connect()
                link = Link(connection)
                self._set_up(link)
                self.link = link
                self._ready.set()
                failures = 0
                self._drain(link)
            except Exception as error:  # whatever broke, the answer is a new connection
                if not self._stopping.is_set():
                    _log.warning("%s lost its connection: %s", self._name, _explain(error))
            finally:
                self.link = None
                self._ready.clear()
                self._on_lost()
                connection.collect()  # closes the socket without a word to a broker that may not listen
            if not self._stopping.is_set():
                self._stopping.wait(_RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)])
                failures += 1

    def _drain(self, link: Link) -> None:
        next_beat = time.monotonic() + _BEAT_EVERY_S
        with link.drained_by_me():
            while not self._stopping.is_set():
                link.drain(_TURN_S)
                if time.monotonic() >= next_beat:
                    link.beat()
                    self._tend(link)
                    next_beat = time.monotonic() + _BEAT_EVERY_S


def _explain(error: Exception) -> str:
    if isinstance(error, PreconditionFailed) and "inequivalent" in error.reply_text:
        return f"{error.reply_text}. `punchcard topology` says what to do"
    return f"{type(error).__name__}: {error}"
