"""The names and arguments of everything on the broker, declared in one place.

Events use stock nameko's exchanges (``<service>.events``, topic, durable) so that a stock `event_handler` receives
them; RPC uses stock nameko's ``nameko-rpc`` and ``rpc-<service>``, so that a stock proxy can call.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import PreconditionFailed
from kombu import entity

_log = logging.getLogger(__name__)

RPC_EXCHANGE = "nameko-rpc"
#: The target that stands for no service: ``health.<service>`` asks that service whether it is well.
PROBES = "health"
#: Seconds before each further attempt at an event; after the last one it is parked.
RETRY_DELAYS_S: tuple[int, ...] = (1, 5, 15, 60, 300, 900, 1800, 3600)
#: How often the broker hands the same event to a crashing process before it drops it into the dead-letter queue.
_DELIVERY_LIMIT = 20
#: The first RabbitMQ that has quorum queues.
_QUORUM_SINCE = (3, 8)
#: What RabbitMQ says about a declaration that differs from what exists.
_DIFFERS = re.compile(r"in(?:equivalent|valid) arg '(?P<argument>[^']+)'.*?(?:but current is (?P<exists>.+))?$", re.S)
_VALUE = re.compile(r"^(?:the value )?'(.*)'(?: of type '\w*)?'?$", re.S)


@dataclass(frozen=True)
class Mismatch:
    """A queue or an exchange that is on the broker with another argument than this version declares.

    The broker keeps what exists and names the first argument that differs.

    Args:
        kind: ``queue`` or ``exchange``.
        name: its name.
        argument: which one differs, as the broker calls it.
        exists, wanted: its value there, and the one declared.
    """

    kind: str
    name: str
    argument: str
    exists: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} exists with {self.argument} {self.exists}, wanted {self.wanted}"


def explain(found: Iterable[Mismatch]) -> list[str]:
    """What differs and what an operator does about it without losing a message; a line for all that differ alike."""
    alike: dict[tuple[str, ...], list[Mismatch]] = {}
    for one in found:
        alike.setdefault((one.kind, one.argument, one.exists, one.wanted), []).append(one)
    return [_explain(group) for group in alike.values()]


def _explain(alike: Sequence[Mismatch]) -> str:
    first, names = alike[0], ", ".join(one.name for one in alike)
    what = str(first) if len(alike) == 1 else (
        f"{first.kind}s {names} exist with {first.argument} {first.exists}, wanted {first.wanted}"
    )  # fmt: skip
    name, each = (first.name, "") if len(alike) == 1 else ("NAME", " for each")
    delete = (
        f"rabbitmqctl delete_queue {name}" if first.kind == "queue" else f"rabbitmqadmin delete exchange name={name}"
    )
    keep = ""
    if first.argument == "x-queue-type" and first.exists in ("none", "classic"):
        keep = "; or keep what exists with PUNCHCARD_QUEUE_TYPE=classic for every process"
    return (
        f"{what}: stop the gateway, wait until `punchcard reconcile` finds nothing broken, `{delete}`{each}, "
        f"`punchcard topology`, start the gateway{keep}"
    )


def fitting_queue_type(connection: Any, asked: str | None) -> str | None:
    """The type of event queues: what was asked for, otherwise quorum queues where the broker has them.

    Args:
        connection: an open kombu connection.
        asked: ``quorum`` or ``classic``; None lets the broker decide.

    Returns:
        The type; None for the in-memory bus, which has one only.
    """
    if connection.transport.driver_type == "memory":
        return None
    if asked:
        return asked
    broker = connection.connection.server_properties
    product, version = str(broker.get("product", "unknown")), str(broker.get("version", ""))
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if product == "RabbitMQ" and numbers >= _QUORUM_SINCE:
        return "quorum"
    _log.warning("%s %s has no quorum queues: events wait in classic ones, which one node keeps", product, version)
    return "classic"


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
    return f"{PROBES}-{service}"


def retry_exchange(delay_s: int) -> str:
    """The exchange that keeps a message for `delay_s` seconds, then hands it to the queue of its routing key."""
    return f"punchcard.retry.{delay_s}s"


def dead_letter_queue(service: str) -> str:
    """Where the broker drops what even a crash loop could not handle."""
    return f"{service}.dead"


def declare_service(
    channel: Any, service: str, subscriptions: Iterable[Subscription], queue_type: str | None = None
) -> list[Mismatch]:
    """Declare what a service consumes from. Safe to repeat.

    Args:
        channel: an open channel, not one that anything is consumed on: the broker closes it over a mismatch, and
            py-amqp opens it again without its consumers.
        service: the service's name.
        subscriptions: the events that it handles.
        queue_type: ``quorum`` or ``classic`` for event queues; None for the broker's own default (in memory).

    Returns:
        What exists with other arguments. It stays as it is, and bound.
    """
    found: list[Mismatch] = []
    requests = entity.Exchange(RPC_EXCHANGE, type="topic", durable=True)
    found += _queue(channel, rpc_queue(service), requests, f"{service}.*")
    found += _queue(channel, probe_queue(service), requests, f"{PROBES}.{service}")
    found += _exchange(channel, entity.Exchange(f"{service}.events", type="topic", durable=True))
    dead = dead_letter_queue(service)
    found += _queue(channel, dead, None, dead, _typed(queue_type))
    arguments = {
        **_typed(queue_type),
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
        **({"x-delivery-limit": _DELIVERY_LIMIT} if queue_type == "quorum" else {}),
    }
    for wanted in subscriptions:
        exchange = entity.Exchange(wanted.exchange, type="topic", durable=True)
        found += _queue(channel, wanted.queue, exchange, wanted.routing_key, arguments)
    return list(dict.fromkeys(found))  # an exchange may be declared more than once


def declare_retries(
    channel: Any, delays_s: Sequence[int] = RETRY_DELAYS_S, queue_type: str | None = None
) -> list[Mismatch]:
    """Declare one delay queue per delay; a message that expired there returns to the queue it came from.

    Args:
        channel: see `declare_service`.
        delays_s: of the delay queues, in seconds.
        queue_type: see `declare_service`.

    Returns:
        What exists with other arguments.
    """
    found: list[Mismatch] = []
    for delay in delays_s:
        name = retry_exchange(delay)
        exchange = entity.Exchange(name, type="fanout", durable=True)
        arguments = {**_typed(queue_type), "x-message-ttl": delay * 1000, "x-dead-letter-exchange": ""}
        found += _queue(channel, name, exchange, "", arguments)
    return found


def _typed(queue_type: str | None) -> dict[str, Any]:
    return {"x-queue-type": queue_type} if queue_type else {}


def _exchange(channel: Any, exchange: entity.Exchange) -> list[Mismatch]:
    try:
        exchange(channel).declare()
    except PreconditionFailed as error:
        return [_mismatch("exchange", exchange.name, {"durable": "true", "type": exchange.type}, error)]
    return []


def _queue(
    channel: Any, name: str, exchange: entity.Exchange | None, routing_key: str, arguments: dict[str, Any] | None = None
) -> list[Mismatch]:
    found = _exchange(channel, exchange) if exchange is not None else []
    queue = entity.Queue(name, exchange, routing_key, durable=True, queue_arguments=arguments or {})(channel)
    try:
        queue.queue_declare()
    except PreconditionFailed as error:
        found.append(_mismatch("queue", name, {"durable": "true", **(arguments or {})}, error))
    if exchange is not None:
        queue.queue_bind()
    return found


def _mismatch(kind: str, name: str, declared: dict[str, Any], error: PreconditionFailed) -> Mismatch:
    # the text is cut off after 255 bytes, so names and what we declare are not read from it
    differs = _DIFFERS.search(error.reply_text)
    argument = differs["argument"] if differs else "other arguments"
    exists = differs["exists"] if differs and differs["exists"] else "another value"
    return Mismatch(
        kind, name, argument, _VALUE.sub(r"\1", exists) or "''", str(declared.get(argument, "none")) or "''"
    )
