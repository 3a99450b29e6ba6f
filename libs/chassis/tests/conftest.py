"""The echo service on the real broker and database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from echo.process import Echo

from chassis.rpc import RpcClient


@pytest.fixture
def fresh_broker(amqp_uri: str) -> str:
    """The session's broker, emptied of what the echo service left there."""
    from kombu import Connection

    with Connection(amqp_uri) as connection:
        channel = connection.default_channel
        for queue in ("rpc-echo", "health-echo", "echo.on.echo.said.v1", "echo.on.echo.whispered.v1", "echo.dead"):
            channel.queue_delete(queue)
        for delay in ("1s",):
            channel.queue_delete(f"punchcard.retry.{delay}")
    return amqp_uri


@pytest.fixture
def echo(fresh_broker: str, new_postgres: Callable[..., str], tmp_path: Path) -> Iterator[Echo]:
    service = Echo(fresh_broker, new_postgres("echo"), tmp_path / "echo.log")
    service.log.touch()
    service.start()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.kill()


@pytest.fixture
def client(amqp_uri: str) -> Iterator[RpcClient]:
    rpc = RpcClient(amqp_uri, "tests")
    yield rpc
    rpc.stop()
