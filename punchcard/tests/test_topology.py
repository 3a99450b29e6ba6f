"""`punchcard topology` against a real broker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from kombu import Connection

from chassis.messaging.depths import queue_names
from chassis.messaging.topology import Subscription
from punchcard.parts import SERVICES

QUEUE = "credits.on.cart.order_paid.v1"
CLASSIC = {"x-queue-type": "classic", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "credits.dead"}


def topology(amqp_uri: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PUNCHCARD_QUEUE_TYPE"}
    return subprocess.run(
        [sys.executable, "-m", "punchcard", "topology"],
        env={**environment, "AMQP_URI": amqp_uri}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def empty_broker(amqp_uri: str) -> Iterator[str]:
    """The session's broker without any queue of a service, before and after."""
    events = [Subscription("credits", "cart.order_paid.v1")]

    def clear() -> None:
        with Connection(amqp_uri) as connection:
            for queue in queue_names(SERVICES, events):
                connection.default_channel.queue_delete(queue)

    clear()
    yield amqp_uri
    clear()


def test_a_changed_argument_ends_in_one_line_that_says_what_to_do(empty_broker: str) -> None:
    with Connection(empty_broker) as connection:
        channel = connection.default_channel
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=CLASSIC)
        done = topology(empty_broker)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"queue {QUEUE} exists with x-queue-type classic, wanted quorum: stop the gateway, ")
        assert f"`rabbitmqctl delete_queue {QUEUE}`" in line
        channel.queue_delete(QUEUE)
    done = topology(empty_broker)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "every exchange and queue is declared\n"


def test_a_broker_that_is_away_and_a_wrong_setting_are_one_line_too() -> None:
    away = topology("amqp://guest:guest@127.0.0.1:1//")
    assert (away.returncode, len(away.stderr.splitlines())) == (1, 1)
    assert away.stderr.startswith("The broker at AMQP_URI does not answer")
    missing = topology("")
    assert (missing.returncode, missing.stderr) == (1, "AMQP_URI is not set\n")
