"""The names and arguments of everything on the broker, declared in one place.

Events use stock nameko's exchanges (``<service>.events``, topic, durable) so that a stock `event_handler` receives
them; RPC uses stock nameko's ``nameko-rpc`` and ``rpc-<service>``, so that a stock proxy can call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kombu import entity

RPC_EXCHANGE = "nameko-rpc"
#: Seconds before each further attempt at an event; after the last one it is parked.
RETRY_DELAYS_S: tuple[int, ...] = (1, 5, 15, 60, 300, 900, 1800, 3600)
#: How often the broker hands the same event to a crashing process before it drops it into the dead-letter queue.
_DELIVERY_LIMIT = 20


@dataclass(frozen=True)
class Subscription:
    """One service's wish to handle one kind of event.

    Args:
        service: who wants it.
        event: the event type's name.
    """

    service: str
    event: str

    @property
    def queue(self) -> str:
        """The queue's name: from the service and the event, never from the name of a Python method."""
        return f"{self.service}.on.{self.event}"

    @property
    def exchange(self) -> str:
        return event_exchange(self.event)

    @property
    def routing_key(self) -> str:
        return self.event.split(".", 1)[1]


def event_exchange(event: str) -> str:
    """The exchange that an event is published to."""
    return f"{event.split('.', 1)[0]}.events"


def rpc_queue(service: str) -> str:
    """The queue that a service's requests wait in."""
    return f"rpc-{service}"


def probe_queue(service: str) -> str:
    """The queue of questions whether a service is well, with key ``health.<service>``: not behind its requests."""
    return f"health-{service}"


def retry_exchange(delay_s: int) -> str:
    """The exchange that keeps a message for `delay_s` seconds, then hands it to the queue of its routing key."""
    return f"punchcard.retry.{delay_s}s"


def dead_letter_queue(service: str) -> str:
    """Where the broker drops what even a crash loop could not handle."""
    return f"{service}.dead"


def declare_service(
    channel: Any, service: str, subscriptions: Iterable[Subscription], queue_type: str | None = None
) -> None:
    """Declare what a service consumes from. Safe to repeat.

    Args:
        channel: an open channel.
        service: the service's name.
        subscriptions: the events that it handles.
        queue_type: ``quorum`` or ``classic`` for event queues; None for the broker's own default (in memory).
    """
    requests = entity.Exchange(RPC_EXCHANGE, type="topic", durable=True)
    _queue(channel, rpc_queue(service), requests, f"{service}.*")
    _queue(channel, probe_queue(service), requests, f"health.{service}")
    own_events = entity.Exchange(f"{service}.events", type="topic", durable=True)
    own_events(channel).declare()
    dead = dead_letter_queue(service)
    _queue(channel, dead, None, dead, _typed(queue_type))
    arguments = {
        **_typed(queue_type),
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
        **({"x-delivery-limit": _DELIVERY_LIMIT} if queue_type == "quorum" else {}),
    }
    for wanted in subscriptions:
        exchange = entity.Exchange(wanted.exchange, type="topic", durable=True)
        _queue(channel, wanted.queue, exchange, wanted.routing_key, arguments)


def declare_retries(channel: Any, delays_s: Sequence[int] = RETRY_DELAYS_S, queue_type: str | None = None) -> None:
    """Declare one delay queue per delay; a message that expired there returns to the queue it came from."""
    for delay in delays_s:
        name = retry_exchange(delay)
        exchange = entity.Exchange(name, type="fanout", durable=True)
        arguments = {**_typed(queue_type), "x-message-ttl": delay * 1000, "x-dead-letter-exchange": ""}
        _queue(channel, name, exchange, "", arguments)


def _typed(queue_type: str | None) -> dict[str, Any]:
    return {"x-queue-type": queue_type} if queue_type else {}


def _queue(
    channel: Any, name: str, exchange: entity.Exchange | None, routing_key: str, arguments: dict[str, Any] | None = None
) -> None:
    queue = entity.Queue(name, exchange, routing_key, durable=True, queue_arguments=arguments or {})
    queue(channel).declare()
