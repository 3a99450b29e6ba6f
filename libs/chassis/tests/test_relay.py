"""The relay on the embedded bus: what it owes while its database is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.messaging import inmemory
from chassis.messaging.link import Link, connect
from chassis.messaging.relay import NotConfirmed, Outgoing, Relay
from chassis.messaging.topology import Subscription, declare_service
from chassis.persistence import Database
from chassis.persistence.tables import OUTBOX
from chassis.testing import create_tables, wait_until
from kernel.errors import unavailable


@pytest.fixture
def link() -> Iterator[Link]:
    inmemory.Transport.forget_everything()
    connection = connect("memory://")
    connection.connect()
    yield Link(connection)
    connection.release()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = create_tables(Database(f"sqlite:///{tmp_path / 'x.db'}"))
    yield made
    made.close()


def waiting(link: Link, queue: str) -> int:
    return int(link.channel.queue_declare(queue, passive=True).message_count)


def test_a_retry_leaves_while_the_database_is_away(
    link: Link, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_service(link.channel, "tests", [])

    @contextmanager
    def away() -> Iterator[Any]:
        raise unavailable()
        yield

    monkeypatch.setattr(database, "transaction", away)
    relay = Relay("memory://", database)
    relay.start()
    try:
        for number in range(3):
            relay.publish([Outgoing(f"m{number}", "{}", "", "tests.dead")], timeout_s=20)
    finally:
        relay.stop()
    assert waiting(link, "tests.dead") == 3


@pytest.mark.parametrize("age", [timedelta(minutes=1), timedelta(hours=-1)], ids=["forgotten", "from a fast clock"])
def test_what_its_process_left_behind_is_swept(link: Link, database: Database, age: timedelta) -> None:
    declare_service(link.channel, "tests", [Subscription("tests", "shop.sold.v1")])
    with database.transaction() as transaction:
        row = {"id": "evt_1", "type": "shop.sold.v1", "body": "{}", "correlation_id": "cor_1", "must_route": True,
               "created_at": transaction.now - age, "sent_at": None}  # fmt: skip
        transaction.execute(sa.insert(OUTBOX).values(**row))
    relay = Relay("memory://", database)
    relay.start()
    try:
        wait_until(lambda: waiting(link, "tests.on.shop.sold.v1") == 1, "the event to leave")
    finally:
        relay.stop()


def test_who_waits_is_told_when_nobody_takes_the_message(link: Link, database: Database) -> None:
    relay = Relay("memory://", database)
    relay.start()
    try:
        with pytest.raises(NotConfirmed):
            relay.publish([Outgoing("m1", "{}", "", "no-such-queue")], timeout_s=20)
    finally:
        relay.stop()
