"""What a service says of its own messaging, and what the broker says of its queues."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from kombu import Connection

from chassis.messages import dump_checked
from chassis.messaging.depths import queue_depths, queue_names
from chassis.messaging.state import MessagingState, messaging_state
from chassis.messaging.topology import Subscription
from chassis.persistence import Database
from chassis.persistence.tables import DEAD_LETTER, OUTBOX
from chassis.testing import FixedClock, create_tables, wait_until
from kernel.ids import new_id


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgres")()
    made = create_tables(Database(url, FixedClock()), sa.MetaData())
    yield made
    made.close()


def test_an_empty_state(database: Database) -> None:
    assert dump_checked(MessagingState(), messaging_state(database)) == {
        "unsent": 0, "oldest_unsent_s": None, "dead_letters_by_cause": {},
    }  # fmt: skip


def test_the_oldest_unsent_event_and_dead_letters_by_cause_less_the_replayed(database: Database) -> None:
    with database.transaction() as tx:
        for age_s, sent in ((90, True), (75, False), (2, False)):
            at = tx.now - timedelta(seconds=age_s)
            row = {"type": "shop.sold.v1", "body": "{}", "correlation_id": "cor_1", "must_route": True}
            tx.execute(
                sa.insert(OUTBOX).values(id=new_id("evt"), **row, created_at=at, sent_at=tx.now if sent else None)
            )
        parked = [("Boom", False), ("Boom", False), ("Boom", True), ("malformed:x", False), ("Old", True)]
        for cause, replayed in parked:
            row = {"queue": "q", "cause": cause, "attempts": 1, "headers": "{}", "body": b"", "parked_at": tx.now}
            tx.execute(sa.insert(DEAD_LETTER).values(id=new_id("dlt"), **row, replayed_at=tx.now if replayed else None))
    assert messaging_state(database) == {
        "unsent": 2, "oldest_unsent_s": 75.0, "dead_letters_by_cause": {"Boom": 2, "malformed:x": 1},
    }  # fmt: skip


def test_the_names_of_all_queues_of_a_service() -> None:
    assert queue_names(["echo"], [Subscription("echo", "shop.sold.v1")], (1, 5)) == [
        "rpc-echo", "echo.dead", "echo.on.shop.sold.v1", "punchcard.retry.1s", "punchcard.retry.5s",
    ]  # fmt: skip


def test_depths_are_counted_without_taking_anything_and_a_missing_queue_is_none(amqp_uri: str) -> None:
    full, empty, missing = new_id("full"), new_id("empty"), new_id("missing")
    with Connection(amqp_uri) as connection:
        channel = connection.channel()
        for queue in (full, empty):
            channel.queue_declare(queue, auto_delete=False)
        producer = connection.Producer(channel)
        for _ in range(3):
            producer.publish("x", routing_key=full)
        wait_until(lambda: queue_depths(amqp_uri, [full]) == {full: 3}, "the broker to count")
        assert queue_depths(amqp_uri, [missing, full, empty]) == {missing: None, full: 3, empty: 0}
        for queue in (full, empty):
            channel.queue_delete(queue)
