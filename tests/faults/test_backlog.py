"""More events than anybody can keep in mind: what waits, waits on the broker's disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from echo.process import Echo
from kombu import Connection

from chassis.local_servers import PrivatePostgres, PrivateRabbit
from chassis.messaging.depths import queue_depths
from chassis.messaging.link import Link, connect
from chassis.messaging.relay import ConfirmedPublisher, Outgoing
from chassis.rpc import RpcClient
from chassis.testing import wait_until

QUEUE = "echo.on.echo.said.v1"
#: What a process may need more than before while 60 MB and more of events wait for it.
_MOST_GROWTH_KB = 40 * 1024
_BATCH = 500


@pytest.fixture
def echo(fault_servers: tuple[PrivateRabbit, PrivatePostgres], tmp_path: Path) -> Iterator[Echo]:
    """A service of its own on the servers of the faults."""
    rabbit, postgres = fault_servers
    admin = sa.create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS backlog WITH (FORCE)")
        connection.exec_driver_sql("CREATE DATABASE backlog")
    service = Echo(rabbit.uri, postgres.url("backlog"), tmp_path / "echo.log")
    service.log.touch()
    try:
        service.start()
        yield service
    finally:
        service.kill()
        with Connection(rabbit.uri) as left:
            for queue in ("rpc-echo", "health-echo", QUEUE, "echo.on.echo.whispered.v1", "echo.dead"):
                left.default_channel.queue_delete(queue)


@pytest.fixture
def client(echo: Echo) -> Iterator[RpcClient]:
    rpc = RpcClient(echo.amqp_uri, "tests")
    yield rpc
    rpc.stop()


@pytest.fixture
def publish(echo: Echo) -> Iterator[Callable[[list[Outgoing]], None]]:
    """Publish confirmed messages."""
    connection = connect(echo.amqp_uri)
    connection.connect()
    publisher = ConfirmedPublisher(Link(connection), in_memory=False)
    yield publisher.publish
    connection.collect()


def event(number: int, text: str, kind: str = "said", padding: int = 0) -> Outgoing:
    body = {
        "id": f"evt_{kind}_{number}",
        "type": f"echo.{kind}.v1",
        "occurred_at": "2026-11-22T12:00:00Z",
        "data": {"text": text, "padding": "x" * padding},
    }
    return Outgoing(body["id"], json.dumps(body), "echo.events", f"{kind}.v1")


def memory_kb(echo: Echo, field: str) -> int:
    """VmRSS: what the process has in memory; VmHWM: the most that it ever had."""
    assert echo.process is not None
    lines = Path(f"/proc/{echo.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def test_a_backlog_of_large_events(echo: Echo, client: RpcClient, publish: Callable[[list[Outgoing]], None]) -> None:
    backlog(echo, client, publish, 2_000, 30_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_backlog_of_100_000_events(echo: Echo, client: RpcClient, publish: Callable[[list[Outgoing]], None]) -> None:
    backlog(echo, client, publish, 100_000, 600)


def backlog(
    echo: Echo, client: RpcClient, publish: Callable[[list[Outgoing]], None], number: int, padding: int
) -> None:
    """So many events wait for one slow consumer: its memory is bounded, nobody else waits, all are handled once."""
    for warm in range(50):  # whatever a process needs once, it has by now
        client.call("echo", "note", {"text": f"warm {warm}"}, timeout_s=30)
    publish([event(0, "warm", "whispered")])
    wait_until(lambda: "heard warm" in echo.effects(), "the first event of the other kind")
    before = memory_kb(echo, "VmRSS")
    publish([event(1_000_000 + slow, "slow", padding=padding) for slow in range(8)])
    for start in range(0, number, _BATCH):
        publish([event(each, str(each), padding=padding) for each in range(start, min(number, start + _BATCH))])
    assert client.call("echo", "echo", {"text": "meanwhile"}, timeout_s=30) == {"text": "meanwhile"}
    assert client.call("health", "echo", timeout_s=30) == {"service": "echo"}
    publish([event(1, "meanwhile", "whispered")])
    wait_until(lambda: echo.rows("SELECT 1 FROM effect WHERE what = 'heard meanwhile'"), "the event of the other kind")
    assert queue_depths(echo.amqp_uri, [QUEUE])[QUEUE], "it was handled while the backlog waited"
    handled = "SELECT count(*), count(DISTINCT what) FROM effect WHERE what LIKE 'handled %' AND what != 'handled slow'"
    wait_until(lambda: echo.rows(handled) == [(number, number)], "all of it to be handled, once", 1800)
    assert queue_depths(echo.amqp_uri, [QUEUE]) == {QUEUE: 0}
    grown = memory_kb(echo, "VmHWM") - before
    assert grown < _MOST_GROWTH_KB, f"{grown} KB more than before, of {number * padding // 1024} KB that waited"
