"""What could not be handled is handled after all; and what was handled, once more, without any effect."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from harness.faulty import FaultyStore, assert_nothing_broken
from harness.load import Load

from chassis.messaging.link import Link, connect
from chassis.messaging.relay import ConfirmedPublisher, Outgoing
from chassis.messaging.topology import event_exchange
from chassis.testing import wait_until
from kernel.ids import new_id
from punchcard.parts import SERVICES

pytestmark = pytest.mark.journey

#: The services that have something to do when an order was paid.
FULFILLING = ("credits", "accounts", "notifications")


@contextmanager
def unable(faulty: FaultyStore, service: str) -> Iterator[None]:
    """No event can be handled by a service: the table that every handler needs is somewhere else."""
    with faulty.database(service) as database:
        database.exec_driver_sql("ALTER TABLE inbox RENAME TO inbox_elsewhere")
    try:
        yield
    finally:
        with faulty.database(service) as database:
            database.exec_driver_sql("ALTER TABLE inbox_elsewhere RENAME TO inbox")


def waiting_letters(faulty: FaultyStore, service: str) -> int:
    return int(faulty.rows(service, "SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL")[0][0])


def replay_all(faulty: FaultyStore) -> None:
    """What an operator types."""
    environment = {
        **os.environ,
        "AMQP_URI": faulty.rabbit.uri,
        **{f"{name.upper()}_DATABASE_URL": faulty.postgres.url(f"punchcard_{name}") for name in SERVICES},
    }
    done = subprocess.run(
        [sys.executable, "-m", "punchcard", "dead-letters", "replay", "--all"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_dead_letter_replayed_twice(faulty: FaultyStore, rng: random.Random) -> None:
    """Orders that were paid while nobody could hand anything over are handed over by the replay, once."""
    faulty.relaunch(*FULFILLING, PUNCHCARD_RETRY_DELAYS_S="1")
    try:
        with ExitStack() as stack:
            for name in FULFILLING:
                stack.enter_context(unable(faulty, name))
            with Load(faulty, rng) as load:  # until somebody has bought what each of them has something to do with
                load.wait_answered(3)
                for name in FULFILLING:
                    wait_until(lambda name=name: waiting_letters(faulty, name) > 0, f"{name} to park something", 90)
            wait_until(lambda: not any(faulty.all_depths().values()), "all of it to be parked", 90)
    finally:
        faulty.relaunch(*FULFILLING)
    replay_all(faulty)
    load.assert_kept()
    assert [waiting_letters(faulty, name) for name in SERVICES] == [0] * len(SERVICES)
    for name in SERVICES:
        with faulty.database(name) as database:
            database.exec_driver_sql("UPDATE dead_letter SET replayed_at = NULL")
    replay_all(faulty)
    wait_until(lambda: not any(faulty.all_depths().values()), "all of it to be handled again", 90)
    load.assert_kept()
    assert [waiting_letters(faulty, name) for name in SERVICES] == [0] * len(SERVICES), "nothing failed again"
    for name in SERVICES:
        with faulty.database(name) as database:
            database.exec_driver_sql("DELETE FROM dead_letter")


def test_events_of_another_version_come_again(faulty: FaultyStore, rng: random.Random) -> None:
    """Every event there was, with fields that nobody knows, under its own id and under another, changes nothing."""
    with Load(faulty, rng) as load:
        load.wait_answered(3)
    load.assert_kept()
    letters = sum(waiting_letters(faulty, name) for name in SERVICES)
    again = [
        message
        for name in SERVICES
        for kind, body in faulty.rows(name, "SELECT type, body FROM outbox WHERE must_route")
        for message in other_versions(kind, body)
    ]
    assert again
    rng.shuffle(again)
    connection = connect(faulty.rabbit.uri)
    connection.connect()
    try:
        publisher = ConfirmedPublisher(Link(connection), in_memory=False)
        for start in range(0, len(again), 100):
            publisher.publish(again[start : start + 100])
    finally:
        connection.collect()
    assert all(message.confirmed for message in again)
    wait_until(lambda: not any(faulty.all_depths().values()), "all of it to be handled", 90)
    load.assert_kept()
    assert_nothing_broken(faulty)
    assert sum(waiting_letters(faulty, name) for name in SERVICES) == letters, "none was taken for malformed"


def other_versions(kind: str, body: str) -> Iterator[Outgoing]:
    """The event with more in it: as it was sent, and as if it had happened again."""
    event: dict[str, Any] = json.loads(body)
    more = {**event, "data": {**event["data"], "of_a_later_version": {"a": 1}}, "trace": "of a later version"}
    for event_id in (event["id"], new_id("evt")):
        text = json.dumps({**more, "id": event_id})
        yield Outgoing(new_id("msg"), text, event_exchange(kind), kind.split(".", 1)[1])
