"""What a service says of itself when its metrics are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from chassis.messaging.depths import queue_depths
from chassis.messaging.link import is_memory
from chassis.messaging.state import messaging_state
from chassis.observability.metrics import Sample, Sampler, short_cause
from chassis.rpc import circuit_samples
from chassis.runtime import Runtime


def service_sampler(
    runtime: Runtime, queues: Sequence[str], in_flight: Callable[[], int], mismatches: Callable[[], int]
) -> Sampler:
    """The gauges of one service.

    Args:
        runtime: what it works with.
        queues: what it consumes from.
        in_flight: how much it works on.
        mismatches: how many of its queues are not as they should be.
    """
    service = runtime.service

    def sampler() -> Iterator[Sample]:
        yield "punchcard_in_flight", (service,), in_flight()
        yield "punchcard_topology_mismatches", (service,), mismatches()
        yield from circuit_samples(service, runtime.rpc)
        state = messaging_state(runtime.database)
        yield "punchcard_outbox_unsent", (service,), state["unsent"]
        yield "punchcard_outbox_oldest_unsent_seconds", (service,), state["oldest_unsent_s"] or 0.0
        parked: dict[str, int] = {}
        for cause, number in state["dead_letters_by_cause"].items():
            parked[short_cause(cause)] = parked.get(short_cause(cause), 0) + number
        for cause, number in parked.items():
            yield "punchcard_dead_letters", (service, cause), number
        if not is_memory(runtime.broker_uri):
            for queue, depth in queue_depths(runtime.broker_uri, queues).items():
                if depth is not None:
                    yield "punchcard_queue_messages", (queue,), depth

    return sampler
