"""What a process counts, for Prometheus: on a port of its own, outside of its workers.

Counters and durations are added to where things happen; what can be asked (the outbox, the depth of a queue) is sampled
when somebody looks and costs nothing meanwhile. Labels are names of ours, never what a caller sent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from chassis.settings import Environment

_log = logging.getLogger(__name__)

#: Upper bounds of the durations that are told apart, in seconds.
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

RPC_REQUEST_S = Histogram(
    "punchcard_rpc_request_seconds", "Requests that a service has worked on; the outcome is ok or a kind of refusal.",
    ("service", "method", "outcome"), buckets=_BOUNDS_S, registry=REGISTRY,
)  # fmt: skip
RPC_EXPIRED = Counter(
    "punchcard_rpc_expired", "Requests that were dropped because nobody waited any longer.",
    ("service",), registry=REGISTRY,
)  # fmt: skip
EVENTS = Counter(
    "punchcard_events", "Events by what became of a delivery: handled, or retried later.",
    ("queue", "outcome"), registry=REGISTRY,
)  # fmt: skip
PARKED = Counter(
    "punchcard_dead_letters_parked", "Messages that were parked, by the first two words of their cause.",
    ("queue", "cause"), registry=REGISTRY,
)  # fmt: skip
HTTP_REQUEST_S = Histogram(
    "punchcard_http_request_seconds", "Requests that the gateway has answered.",
    ("method", "route", "status"), buckets=_BOUNDS_S, registry=REGISTRY,
)  # fmt: skip
HTTP_REFUSED = Counter(
    "punchcard_http_refused", "Requests that were over the gateway's capacity.", registry=REGISTRY,
)  # fmt: skip

#: What is asked when somebody looks: name, what it says, labels.
_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "punchcard_outbox_unsent": ("Events that were committed and that the broker has not confirmed.", ("service",)),
    "punchcard_outbox_oldest_unsent_seconds": ("The age of the oldest of them; 0 without any.", ("service",)),
    "punchcard_dead_letters": ("Parked messages that nobody has replayed.", ("service", "cause")),
    "punchcard_in_flight": ("Requests and events that are being worked on.", ("service",)),
    "punchcard_queue_messages": ("Messages that wait in a queue of the broker.", ("queue",)),
    "punchcard_topology_mismatches": ("Queues that exist with other arguments than are wanted.", ("service",)),
    "punchcard_circuit_open": ("1 for a service that a caller takes for dead.", ("caller", "target")),
    "punchcard_reconciliation_breaks": ("Places where the last reconciliation of the store found it broken.", ()),
    "punchcard_reconciliation_age_seconds": ("How long ago that was.", ()),
    "punchcard_disputes_open": ("Card payments that payers have taken back and the network has not decided about.", ()),
    "punchcard_disputes_evidence_due_seconds": ("How long the network listens about the first without evidence.", ()),
    "punchcard_http_in_progress": ("Requests that the gateway works on.", ()),
    "punchcard_http_waiting": ("Requests that wait for the gateway.", ()),
    "punchcard_sample_failed": ("1 if what stands beside it could not be asked, such as a database.", ("source",)),
}

#: A gauge's name, the values of its labels, and its value.
Sample = tuple[str, tuple[str, ...], float]
Sampler = Callable[[], Iterable[Sample]]


class _Sampled(Collector):
    """The gauges of every sampler of this process, asked one after the other."""

    def __init__(self) -> None:
        self.samplers: dict[str, Sampler] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = {name: GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in _GAUGES.items()}
        for source, sampler in list(self.samplers.items()):
            failed = 0
            try:
                for name, labels, value in sampler():
                    families[name].add_metric(labels, value)
            except Exception as error:  # one database that is away must not hide all other figures
                _log.info("could not sample %s: %s", source, type(error).__name__)
                failed = 1
            families["punchcard_sample_failed"].add_metric((source,), failed)
        yield from families.values()


_sampled = _Sampled()
REGISTRY.register(_sampled)


def sample(source: str, sampler: Sampler) -> None:
    """Have gauges asked for whenever somebody looks; takes the place of an earlier sampler of that source.

    Args:
        source: who is asked, such as a service's name.
        sampler: gives samples of `_GAUGES`.
    """
    _sampled.samplers[source] = sampler


def short_cause(cause: str) -> str:
    """A dead letter's cause as a label: what follows the second word may be as long as a sender likes."""
    return ":".join(cause.split(":")[:2])


def serve(environment: Environment) -> tuple[Any, threading.Thread] | None:
    """Answer ``GET /metrics`` where `PUNCHCARD_METRICS_PORT` says, in a thread of its own; not at all without it.

    A port that is taken is logged and nothing more: a store that sells unwatched beats one that does not start.

    Args:
        environment: `PUNCHCARD_METRICS_PORT`, and `PUNCHCARD_METRICS_BIND` (127.0.0.1).

    Returns:
        The server and its thread, for whoever wants to stop it.

    Raises:
        SettingsError: the port is no number.
    """
    port = environment.integer("PUNCHCARD_METRICS_PORT", 0, minimum=0)
    address = environment.text("PUNCHCARD_METRICS_BIND", "127.0.0.1")
    environment.check()
    if not port:
        return None
    try:
        return start_http_server(port, address, REGISTRY)
    except OSError as error:
        _log.error("no metrics at %s:%d: %s", address, port, error)
        return None
