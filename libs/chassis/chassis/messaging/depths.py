"""How many messages wait in each queue, asked of the broker without changing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chassis.messaging.link import connect
from chassis.messaging.topology import RETRY_DELAYS_S, Subscription, dead_letter_queue, retry_exchange, rpc_queue


def queue_names(
    services: Iterable[str], subscriptions: Iterable[Subscription], delays_s: Sequence[int] = RETRY_DELAYS_S
) -> list[str]:
    """Every queue of these services.

    Args:
        services: their names.
        subscriptions: what they handle.
        delays_s: of the delay queues.
    """
    return [
        *(name for service in services for name in (rpc_queue(service), dead_letter_queue(service))),
        *(wanted.queue for wanted in subscriptions),
        *(retry_exchange(delay) for delay in delays_s),
    ]


def queue_depths(uri: str, queues: Iterable[str]) -> dict[str, int | None]:
    """How many messages are ready in each queue; None for a queue that does not exist.

    What a process has taken and not acknowledged yet is not counted: the broker says that to its managers only.

    Args:
        uri: the broker; the in-memory bus of this process will do.
        queues: their names.
    """
    depths: dict[str, int | None] = {}
    with connect(uri) as connection:
        for queue in queues:
            channel = connection.channel()  # one each: the broker closes a channel that asks for what is not there
            try:
                depths[queue] = int(channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                depths[queue] = None
            else:
                channel.close()
    return depths
