"""What is on the broker, declared once: on a real one, where things may exist otherwise than they are wanted."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import NotFound
from echo.process import Echo
from kombu import Connection

from chassis.messaging.topology import Mismatch, declare_retries, declare_service, explain, fitting_queue_type
from chassis.rpc import RpcClient
from chassis.runtime import read_queue_type
from chassis.settings import Environment, SettingsError
from chassis.testing import wait_until
from kernel.errors import Kind, Refusal

QUEUE = "echo.on.echo.said.v1"
CLASSIC = {"x-queue-type": "classic", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "echo.dead"}
QUORUM = {**CLASSIC, "x-queue-type": "quorum", "x-delivery-limit": 20}


def said(text: str) -> dict[str, Any]:
    return {"id": f"evt_{uuid.uuid4()}", "type": "echo.said.v1", "occurred_at": "2026-11-22T12:00:00Z",
            "data": {"text": text}}  # fmt: skip


class Broker:
    """What an operator does on the broker."""

    def __init__(self, amqp_uri: str) -> None:
        self.uri = amqp_uri

    def declare(self, queue: str, arguments: dict[str, Any]) -> None:
        with Connection(self.uri) as connection:
            connection.default_channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)

    def delete(self, queue: str) -> None:
        with Connection(self.uri) as connection:
            connection.default_channel.queue_delete(queue)

    def exists(self, queue: str) -> bool:
        with Connection(self.uri) as connection:
            try:
                connection.default_channel.queue_declare(queue, passive=True)
            except NotFound:
                return False
        return True

    def put(self, queue: str, body: dict[str, Any]) -> None:
        with Connection(self.uri) as connection:
            connection.Producer().publish(body, exchange="", routing_key=queue)

    def publish(self, body: dict[str, Any]) -> None:
        with Connection(self.uri) as connection:
            connection.Producer().publish(body, exchange="echo.events", routing_key="said.v1")


@pytest.fixture
def broker(fresh_broker: str) -> Broker:
    return Broker(fresh_broker)


@pytest.fixture
def unstarted(fresh_broker: str, new_postgres: Callable[..., str], tmp_path: Path) -> Iterator[Echo]:
    """The echo service before its first start."""
    service = Echo(fresh_broker, new_postgres("echo"), tmp_path / "echo.log")
    service.log.touch()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.kill()


def test_a_queue_with_other_arguments_is_used_complained_about_and_found_put_right(
    unstarted: Echo, client: RpcClient, broker: Broker
) -> None:
    echo = unstarted
    broker.declare(QUEUE, CLASSIC)
    broker.put(QUEUE, said("from before"))
    echo.start()
    wait_until(lambda: echo.effects() == ["handled from before"], "the event to be handled all the same")
    broker.publish(said("from now"))
    wait_until(lambda: "handled from now" in echo.effects(), "the queue to be bound as well")
    assert client.call("echo", "echo", {"text": "x"}, timeout_s=20) == {"text": "x"}
    with pytest.raises(Refusal) as refused:
        client.call("health", "echo", timeout_s=20)
    assert (refused.value.kind, refused.value.code) == (Kind.UNAVAILABLE, "not_ready")
    assert refused.value.detail == f"queue {QUEUE} exists with x-queue-type classic, wanted quorum"

    broker.delete(QUEUE)

    def well() -> bool:
        try:
            client.call("health", "echo", timeout_s=20)
        except Refusal:
            return False
        return True

    wait_until(well, "the service to find it put right")
    assert echo.process is not None
    assert echo.process.poll() is None, "it is the same process"
    broker.declare(QUEUE, QUORUM)  # refused if it were not what it should be
    broker.publish(said("after"))
    wait_until(lambda: "handled after" in echo.effects(), "the next event")
    complaints = [line for line in echo.log.read_text().splitlines() if "is not ready" in line]
    assert len(complaints) == 1, "said once, not again and again"
    assert json.loads(complaints[0])["message"] == (
        f"echo is not ready: queue {QUEUE} exists with x-queue-type classic, wanted quorum: stop the gateway, wait "
        f"until `punchcard reconcile` finds nothing broken, `rabbitmqctl delete_queue {QUEUE}`, `punchcard topology`, "
        "start the gateway; or keep what exists with PUNCHCARD_QUEUE_TYPE=classic for every process"
    )


def test_a_delay_queue_that_nobody_listens_on_is_found_put_right_too(
    unstarted: Echo, client: RpcClient, broker: Broker
) -> None:
    broker.declare(
        "punchcard.retry.1s", {"x-queue-type": "quorum", "x-message-ttl": 7000, "x-dead-letter-exchange": ""}
    )
    unstarted.start()
    with pytest.raises(Refusal, match=r"punchcard\.retry\.1s exists with x-message-ttl 7000, wanted 1000"):
        client.call("health", "echo", timeout_s=20)
    broker.delete("punchcard.retry.1s")
    wait_until(lambda: "put right" in unstarted.log.read_text(), "the service to notice")
    assert client.call("health", "echo", timeout_s=20) == {"service": "echo"}
    assert broker.exists("punchcard.retry.1s")


def test_a_renamed_handler_takes_what_waited_for_it_under_its_old_name(unstarted: Echo, broker: Broker) -> None:
    unstarted.start()
    unstarted.stop()
    broker.publish(said("between"))
    unstarted.prelude = (
        "from echo.service import EchoService as E; E.when_said_so = E.on_said; del E.on_said; E.on_said = None"
    )
    unstarted.start()
    wait_until(lambda: unstarted.effects() == ["handled between"], "the renamed handler")


def test_everything_that_differs_is_named_and_the_rest_declared(broker: Broker) -> None:
    with Connection(broker.uri) as connection:
        channel = connection.default_channel
        names = ["rpc-odd", "odd.dead", "health-odd", "punchcard.retry.77s", "punchcard.retry.78s"]
        for name in names:
            channel.queue_delete(name)
        channel.exchange_delete("odd.events")
        channel.queue_declare("odd.dead", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        channel.exchange_declare("odd.events", "fanout", durable=True, auto_delete=False)
        channel.queue_declare("punchcard.retry.77s", durable=False, auto_delete=False)
        found = declare_service(channel, "odd", [], "classic") + declare_retries(channel, [77, 78], "classic")
        assert set(found) == {
            Mismatch("queue", "odd.dead", "x-queue-type", "quorum", "classic"),
            Mismatch("exchange", "odd.events", "type", "fanout", "topic"),
            Mismatch("queue", "punchcard.retry.77s", "durable", "false", "true"),
        }
        for name in names:
            channel.queue_declare(name, passive=True)
            channel.queue_delete(name)
        channel.exchange_delete("odd.events")


def test_what_differs_alike_is_one_line() -> None:
    alike = [Mismatch("queue", name, "x-delivery-limit", "9", "20") for name in ("a.on.b", "c.on.d")]
    (line, other) = explain([*alike, Mismatch("exchange", "e", "type", "fanout", "topic")])
    assert line.startswith("queues a.on.b, c.on.d exist with x-delivery-limit 9, wanted 20: stop the gateway, ")
    assert "`rabbitmqctl delete_queue NAME` for each" in line
    assert "PUNCHCARD_QUEUE_TYPE" not in line
    assert "`rabbitmqadmin delete exchange name=e`" in other


def brokers(product: str, version: str) -> Any:
    return SimpleNamespace(
        transport=SimpleNamespace(driver_type="amqp"),
        connection=SimpleNamespace(server_properties={"product": product, "version": version}),
    )


@pytest.mark.parametrize(
    ("product", "version", "fitting"),
    [
        ("RabbitMQ", "3.10.8", "quorum"), ("RabbitMQ", "4.1.0-rc.1", "quorum"), ("RabbitMQ", "3.8.0", "quorum"),
        ("RabbitMQ", "3.7.28", "classic"), ("RabbitMQ", "", "classic"), ("Another", "9.9", "classic"),
    ],
)  # fmt: skip
def test_quorum_queues_where_the_broker_has_them(
    product: str, version: str, fitting: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert fitting_queue_type(brokers(product, version), None) == fitting
    assert ("has no quorum queues" in caplog.text) == (fitting == "classic")


def test_the_setting_decides_whatever_the_broker_has(broker: Broker) -> None:
    assert fitting_queue_type(brokers("RabbitMQ", "3.7.28"), "quorum") == "quorum"
    with Connection(broker.uri) as connection:
        connection.connect()
        assert fitting_queue_type(connection, None) == "quorum"
        assert fitting_queue_type(connection, "classic") == "classic"
    assert read_queue_type(Environment({})) is None
    assert read_queue_type(Environment({"PUNCHCARD_QUEUE_TYPE": "classic"})) == "classic"
    with pytest.raises(SettingsError, match="neither quorum nor classic"):
        read_queue_type(Environment({"PUNCHCARD_QUEUE_TYPE": "lazy"}))
