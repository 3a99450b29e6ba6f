"""What is counted, and how it is seen: from a real service, on a port of its own."""

from __future__ import annotations

import json
import socket
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from echo.process import Echo
from kombu import Connection
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from chassis.local_servers import free_port
from chassis.observability import metrics
from chassis.rpc import RpcClient
from chassis.settings import Environment, SettingsError
from chassis.testing import wait_until
from kernel.errors import Refusal

Figures = dict[tuple[str, ...], float]
QUEUE = "echo.on.echo.said.v1"


def read(text: str) -> Figures:
    """Every figure by its name and the values of its labels, in the order of the labels' names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Watched:
    """The echo service with its metrics."""

    def __init__(self, service: Echo, port: int) -> None:
        self.service = service
        self.url = f"http://127.0.0.1:{port}/metrics"

    def figures(self) -> Figures:
        with urllib.request.urlopen(self.url, timeout=30) as answer:
            return read(answer.read().decode())

    def shows(self, wanted: Figures) -> None:
        def all_there() -> bool:
            found = self.figures()
            return {name: found.get(name) for name in wanted} == wanted

        wait_until(all_there, f"the metrics to show {wanted}")


@pytest.fixture
def watched(fresh_broker: str, new_postgres: Callable[..., str], tmp_path: Path) -> Iterator[Watched]:
    port = free_port()
    service = Echo(
        fresh_broker, new_postgres("echo"), tmp_path / "echo.log",
        settings={"PUNCHCARD_METRICS_PORT": str(port), "PUNCHCARD_RETRY_DELAYS_S": "1"},
    )  # fmt: skip
    service.log.touch()
    service.start()
    yield Watched(service, port)
    service.kill()


def publish(amqp_uri: str, body: Any) -> None:
    with Connection(amqp_uri) as connection:
        connection.Producer().publish(body, exchange="echo.events", routing_key="said.v1")


def said(text: str) -> dict[str, Any]:
    return {"id": f"evt_{uuid.uuid4()}", "type": "echo.said.v1", "occurred_at": "2026-11-22T12:00:00Z",
            "data": {"text": text}}  # fmt: skip


def test_a_service_shows_what_it_did_and_what_waits(watched: Watched, client: RpcClient) -> None:
    uri = watched.service.amqp_uri
    for _ in range(3):
        client.call("echo", "echo", {"text": "x"}, timeout_s=20)
    with pytest.raises(Refusal):
        client.call("echo", "crash", {"text": "x"}, timeout_s=20)
    client.call("echo", "say", {"text": "one"}, timeout_s=20)
    publish(uri, said("two"))
    publish(uri, said("always fails"))
    publish(uri, {"no": "envelope"})
    publish(uri, {**said("x"), "data": {"a": 1, "b": 2}})
    requests = "punchcard_rpc_request_seconds_count"
    watched.shows(
        {
            (requests, "echo", "ok", "echo"): 3,
            (requests, "crash", "internal", "echo"): 1,
            ("punchcard_events_total", "handled", QUEUE): 2,
            ("punchcard_events_total", "retried", QUEUE): 1,
            ("punchcard_dead_letters_parked_total", "RuntimeError", QUEUE): 1,
            ("punchcard_dead_letters_parked_total", "malformed:envelope", QUEUE): 1,
            ("punchcard_dead_letters_parked_total", "malformed:data", QUEUE): 1,
            ("punchcard_dead_letters", "malformed:envelope", "echo"): 1,
            ("punchcard_dead_letters", "malformed:data", "echo"): 1,
            ("punchcard_dead_letters", "RuntimeError", "echo"): 1,
            ("punchcard_outbox_unsent", "echo"): 0,
            ("punchcard_outbox_oldest_unsent_seconds", "echo"): 0,
            ("punchcard_queue_messages", QUEUE): 0,
            ("punchcard_queue_messages", "rpc-echo"): 0,
            ("punchcard_in_flight", "echo"): 0,
            ("punchcard_topology_mismatches", "echo"): 0,
            ("punchcard_sample_failed", "echo"): 0,
        }
    )
    assert watched.figures()[("process_resident_memory_bytes",)] > 1_000_000


def test_metrics_do_not_wait_behind_the_workers_and_show_what_does(watched: Watched, client: RpcClient) -> None:
    with Connection(watched.service.amqp_uri) as connection:
        producer = connection.Producer()
        for number in range(200):
            producer.publish(
                {"args": [], "kwargs": {"text": str(number)}}, exchange="nameko-rpc", routing_key="echo.note_slowly",
                reply_to="nobody",
            )  # fmt: skip
    wait_until(lambda: watched.service.effects(), "the first to begin")
    figures = watched.figures()
    assert figures["punchcard_in_flight", "echo"] >= 1
    assert figures["punchcard_queue_messages", "rpc-echo"] >= 1


def test_metrics_are_kept_on_this_machine_and_off_unless_asked_for() -> None:
    assert metrics.serve(Environment({})) is None
    with pytest.raises(SettingsError, match="PUNCHCARD_METRICS_PORT"):
        metrics.serve(Environment({"PUNCHCARD_METRICS_PORT": "many"}))
    port = free_port()
    served = metrics.serve(Environment({"PUNCHCARD_METRICS_PORT": str(port)}))
    assert served is not None
    server, thread = served
    try:
        assert server.server_address == ("127.0.0.1", port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_port_that_is_taken_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert metrics.serve(Environment({"PUNCHCARD_METRICS_PORT": str(port)})) is None
    assert f"no metrics at 127.0.0.1:{port}" in caplog.text


def test_what_cannot_be_asked_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Iterator[metrics.Sample]:
        yield "punchcard_in_flight", ("broken",), 7
        raise OSError("the database is away")

    monkeypatch.setattr(metrics._sampled, "samplers", {})
    metrics.sample("broken", fails)
    metrics.sample("well", lambda: [("punchcard_in_flight", ("well",), 3)])
    found = read(generate_latest(metrics.REGISTRY).decode())
    assert found["punchcard_in_flight", "broken"] == 7
    assert found["punchcard_in_flight", "well"] == 3
    assert (found["punchcard_sample_failed", "broken"], found["punchcard_sample_failed", "well"]) == (1, 0)


def test_every_figure_that_an_alert_or_the_dashboard_asks_for_is_one_of_ours() -> None:
    exported = {
        name
        for family in metrics.REGISTRY.collect()
        for name in (family.name, f"{family.name}_total", f"{family.name}_bucket", f"{family.name}_count")
    }
    deploy = Path(__file__).parents[3] / "deploy" / "prometheus"
    asked = set()
    for file in (deploy / "alerts.yml", deploy / "dashboard.json"):
        words = file.read_text().replace("(", " ").replace("{", " ").replace("[", " ").replace('"', " ").split()
        asked |= {word.rstrip(")") for word in words if word.startswith("punchcard_")}
    assert len(asked) > 8
    assert asked <= exported
    assert json.loads((deploy / "dashboard.json").read_text())["panels"]
