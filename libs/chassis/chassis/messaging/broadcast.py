"""Events that every process of a kind must hear, not one of them: an exclusive queue for each process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kombu import entity
from marshmallow import Schema

from chassis.messaging.incoming import Arrived, Malformed, read_event
from chassis.messaging.link import Link, Listener
from chassis.messaging.topology import Subscription
from kernel.ids import new_id

_log = logging.getLogger(__name__)


class Broadcast:
    """Hears one kind of event while it is connected, and says when it may have missed some.

    Args:
        uri: the bus.
        event: the event type's name.
        schema: what is read of its data.
        on_event: called with the data of each, in the listener's thread.
        on_gap: called after each (re)connection: events before it may have been missed.
    """

    def __init__(
        self,
        uri: str,
        event: str,
        schema: Schema,
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._subscription = Subscription(new_id("broadcast"), event)
        self._schema = schema
        self._on_event = on_event
        self._on_gap = on_gap
        self._listener = Listener(uri, f"broadcast {event}", self._set_up)

    @property
    def connected(self) -> bool:
        """Whether every event since the last gap has been heard."""
        return self._listener.connected

    def start(self) -> None:
        """Start to listen, in a thread of its own."""
        self._listener.start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it listens; whether it does."""
        return self._listener.wait_ready(timeout_s)

    def stop(self) -> None:
        """Stop to listen."""
        self._listener.stop()

    def _set_up(self, link: Link) -> None:
        wanted = self._subscription
        exchange = entity.Exchange(wanted.exchange, type="topic", durable=True)
        queue = entity.Queue(
            wanted.queue, exchange, wanted.routing_key, durable=False, exclusive=True, auto_delete=True
        )
        link.consume(queue, self._on_message, no_ack=True)
        self._on_gap()

    def _on_message(self, message: Any) -> None:
        body = message.body.encode("utf-8", "surrogatepass") if isinstance(message.body, str) else bytes(message.body)
        arrived = Arrived(self._subscription.queue, body, message.headers, message.content_type)
        try:
            event = read_event(arrived, self._subscription, self._schema)
        except Malformed as error:
            _log.warning("ignored a malformed %s: %s", self._subscription.event, error)
            return
        self._on_event(event.data)
