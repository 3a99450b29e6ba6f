"""Counting failures: how many, for how long, by how many processes at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from chassis.persistence import Database, Throttle, failure_table, network_of, subject
from chassis.testing import FixedClock
from kernel.errors import Kind, Refusal

TABLE = failure_table(sa.MetaData())
ADA, BOB = subject("account", "ada"), subject("account", "bob")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgres")()
    made = Database(url, clock, pool_size=20)
    metadata = sa.MetaData()
    failure_table(metadata)
    metadata.create_all(made.engine)
    yield made
    made.close()


def fail(database: Database, *subjects: str, limit: int = 10) -> str:
    """What becomes of a request that fails."""
    throttle = Throttle(TABLE, limit)
    try:
        with database.reading() as reader:
            throttle.check(reader, subjects)
        with database.transaction() as transaction:
            throttle.fail(transaction, subjects)
    except Refusal as refusal:
        return f"wait {refusal.extra['retry_after_s']}" if refusal.kind is Kind.TOO_MANY else refusal.code
    return "answered"


def test_ten_in_ten_minutes_are_answered_and_the_eleventh_waits(database: Database, clock: FixedClock) -> None:
    for _ in range(10):
        assert fail(database, ADA) == "answered"
        clock.advance(seconds=30)
    assert fail(database, ADA) == "wait 300"
    clock.advance(seconds=299, milliseconds=1)
    assert fail(database, ADA) == "wait 1"
    clock.advance(milliseconds=999)
    assert fail(database, ADA) == "answered", "the first of them is ten minutes old"
    assert fail(database, ADA) == "wait 30"


def test_who_waits_is_not_made_to_wait_longer_by_trying(database: Database, clock: FixedClock) -> None:
    for _ in range(10):
        fail(database, ADA)
    for _ in range(20):
        fail(database, ADA)
        clock.advance(seconds=29)
    clock.advance(seconds=20)
    assert fail(database, ADA) == "answered"


def test_each_subject_counts_by_itself_and_any_full_one_is_enough(database: Database) -> None:
    for _ in range(10):
        fail(database, ADA)
    assert fail(database, BOB) == "answered"
    assert fail(database, BOB, ADA).startswith("wait")
    with database.reading() as reader:
        rows = {row["subject"]: json.loads(row["failed_at"]) for row in reader.all(sa.select(TABLE))}
    assert {name: len(moments) for name, moments in rows.items()} == {ADA: 10, BOB: 1}


def test_of_many_at_once_no_more_are_answered_than_one_after_the_other(database: Database) -> None:
    """They come through several processes, as far as the database can tell."""
    start = threading.Barrier(30, timeout=60)

    def attempt(number: int) -> str:
        start.wait()
        # the order in which subjects are named must not matter: nobody waits for somebody who waits for him
        return fail(database, *((ADA, BOB) if number % 2 else (BOB, ADA)))

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(attempt, range(30)))
    assert sorted(answers) == ["answered"] * 10 + ["wait 600"] * 20


def test_nothing_but_a_digest_is_stored(database: Database) -> None:
    fail(database, subject("email", "my-password-in-the-wrong-field"))
    with database.reading() as reader:
        [row] = reader.all(sa.select(TABLE))
    assert "my-password" not in str(dict(row))
    assert subject("a", "b:c") != subject("a:b", "c:")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_whom_an_address_stands_for(address: str, network: str) -> None:
    assert network_of(address) == network
