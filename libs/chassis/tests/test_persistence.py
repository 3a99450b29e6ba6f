"""The unit of work, on SQLite and on the real PostgreSQL."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa
from marshmallow import ValidationError, fields

from chassis import context
from chassis.messages import EventType, TolerantSchema
from chassis.persistence import Database, IdempotencyKeys, UtcDateTimeColumn, find_answer, request_hash
from chassis.persistence.paging import page
from chassis.persistence.tables import INBOX, OUTBOX
from chassis.rpc import RpcClient
from chassis.service import Service
from chassis.testing import FixedClock, create_tables, emitted, make_event
from kernel.errors import Kind, Refusal

METADATA = sa.MetaData()
ITEM = sa.Table(
    "item",
    METADATA,
    sa.Column("id", sa.String(30), primary_key=True),
    sa.Column("secret", sa.String(30)),
    sa.Column("at", UtcDateTimeColumn),
)


class Sold(TolerantSchema):
    what = fields.String(required=True)


SOLD = EventType("shop.sold.v1", Sold(), {"what": "a card"})


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgres")()
    made = create_tables(Database(url, FixedClock(), pool_size=4), METADATA)
    yield made
    made.close()


def items(database: Database) -> list[str]:
    with database.reading() as reader:
        return [row["id"] for row in reader.all(sa.select(ITEM.c.id).order_by(ITEM.c.id))]


def test_effect_and_event_stand_or_fall_together(database: Database) -> None:
    offered: list[Any] = []
    database.on_outbox = offered.extend
    with database.transaction() as transaction:
        transaction.execute(sa.insert(ITEM).values(id="a"))
        transaction.emit(SOLD, {"what": "a"})
        assert offered == [], "offered before the commit"
    with pytest.raises(RuntimeError), database.transaction() as transaction:
        transaction.execute(sa.insert(ITEM).values(id="b"))
        transaction.emit(SOLD, {"what": "b"})
        raise RuntimeError
    assert items(database) == ["a"]
    assert emitted(database) == [("shop.sold.v1", {"what": "a"})]
    assert [json.loads(row["body"])["data"] for row in offered] == [{"what": "a"}]


def test_what_waits_for_the_commit_is_not_called_without_one(database: Database) -> None:
    called: list[str] = []
    with database.transaction() as transaction:
        transaction.after_commit(lambda: called.append("after"))
        assert called == []
    with pytest.raises(RuntimeError), database.transaction() as transaction:
        transaction.after_commit(lambda: called.append("never"))
        raise RuntimeError
    assert called == ["after"]


def test_a_malformed_event_does_not_leave(database: Database) -> None:
    with pytest.raises(ValidationError), database.transaction() as transaction:
        transaction.execute(sa.insert(ITEM).values(id="a"))
        transaction.emit(SOLD, {"who": "knows"})
    assert items(database) == []


def test_the_inbox_takes_an_event_once_per_consumer(database: Database) -> None:
    event = make_event("shop.sold.v1", {}, consumer="one")
    other = make_event("shop.sold.v1", {}, event_id=event.id, consumer="another")
    with database.transaction() as transaction:
        assert transaction.accept(event)
        assert not transaction.accept(event)
        assert transaction.accept(other)
    with database.transaction() as transaction:
        assert not transaction.accept(event)
        assert transaction.scalar(sa.select(sa.func.count()).select_from(INBOX)) == 2


def test_the_inbox_forgets_what_was_rolled_back(database: Database) -> None:
    event = make_event("shop.sold.v1", {})
    with pytest.raises(RuntimeError), database.transaction() as transaction:
        assert transaction.accept(event)
        raise RuntimeError
    with database.transaction() as transaction:
        assert transaction.accept(event)


@pytest.mark.parametrize("outer", [None, context.RequestContext("cor_outer")])
def test_an_event_has_its_own_context_while_it_is_handled_and_no_longer(
    database: Database, outer: context.RequestContext | None
) -> None:
    context.enter(outer)
    events = [replace(make_event("shop.sold.v1", {"what": name}), correlation_id=f"cor_{name}") for name in "ab"]
    with database.transaction() as transaction:
        assert [context.correlation_id() for _ in transaction.accept_each(events)] == ["cor_a", "cor_b"]
    assert context.current() is outer
    with pytest.raises(RuntimeError), database.transaction() as transaction:
        for _ in transaction.each(events):
            raise RuntimeError
    assert context.current() is outer
    context.enter(None)


def test_two_handlers_at_once_have_one_effect(database: Database) -> None:
    event = make_event("shop.sold.v1", {})
    barrier = threading.Barrier(4)
    accepted: list[bool] = []

    def handle() -> None:
        barrier.wait(10)
        with database.transaction() as transaction:
            accepted.append(transaction.accept(event))

    threads = [threading.Thread(target=handle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(accepted) == [False, False, False, True]


def test_no_call_may_wait_inside_a_transaction(database: Database) -> None:
    client = RpcClient("memory://", "tests")
    with database.transaction(), pytest.raises(RuntimeError, match="inside a database transaction"):
        client.call("catalog", "price_lines")


def test_idempotency_keys(database: Database) -> None:
    asked, other = request_hash("buy", {"a": 1, "b": 2}), request_hash("buy", {"a": 2})
    assert asked == request_hash("buy", {"b": 2, "a": 1})
    with database.transaction() as transaction:
        assert find_answer(transaction, "org_a", "k", asked) is None
        assert IdempotencyKeys(transaction, "org_a").begin("k", asked, "ord_1") is None
    with database.transaction() as transaction:
        running = IdempotencyKeys(transaction, "org_a").begin("k", asked)
        assert running is not None
        assert (running.answer, running.subject_id) == (None, "ord_1")
        IdempotencyKeys(transaction, "org_a").finish("k", {"order": 1})
        IdempotencyKeys(transaction, "org_a").finish("k", {"order": "another, which came second"})
    with database.transaction() as transaction:
        keys = IdempotencyKeys(transaction, "org_a")
        done = keys.begin("k", asked)
        assert done is not None
        assert done.answer == {"order": 1}
        with pytest.raises(Refusal) as caught:
            keys.begin("k", other)
        assert caught.value.code == "idempotency_key_reused"
        assert IdempotencyKeys(transaction, "org_b").begin("k", other) is None, "another organisation's key"


def test_idempotency_keys_are_kept_for_30_days_whether_answered_or_in_flight(database: Database) -> None:
    service = Service()
    service.app = SimpleNamespace(database=database)
    clock = cast(FixedClock, database.clock)

    def known(key: str) -> bool:
        with database.reading() as reader:
            return find_answer(reader, "org_a", key, "a hash") is not None

    with database.transaction() as transaction:
        keys = IdempotencyKeys(transaction, "org_a")
        for key in ("answered", "in flight"):
            keys.begin(key, "a hash", "ord_1")
        keys.finish("answered", {"order": 1})
    clock.advance(days=30)
    service.clean_up()
    assert known("answered")
    assert known("in flight")
    clock.advance(seconds=1)
    service.clean_up()
    assert not known("answered")
    assert not known("in flight")


def test_naive_datetimes_are_refused_and_utc_comes_back(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError), database.transaction() as transaction:
        transaction.execute(sa.insert(ITEM).values(id="a", at=datetime(2026, 1, 1)))  # noqa: DTZ001  # the point
    with database.transaction() as transaction:
        transaction.execute(sa.insert(ITEM).values(id="a", at=transaction.now))
        assert transaction.scalar(sa.select(ITEM.c.at)) == FixedClock().now()


def test_pages(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute(sa.insert(ITEM), [{"id": f"i{n}"} for n in range(5)])
    seen: list[str] = []
    cursor: str | None = None
    with database.reading() as reader:
        while True:
            rows, cursor = page(reader, sa.select(ITEM.c.id), ITEM.c.id, 2, cursor)
            seen += [row["id"] for row in rows]
            if cursor is None:
                break
        with pytest.raises(Refusal) as caught:
            page(reader, sa.select(ITEM.c.id), ITEM.c.id, 2, "é!")
    assert seen == ["i4", "i3", "i2", "i1", "i0"]
    assert caught.value.code == "invalid_cursor"


def test_an_exhausted_pool_is_a_refusal_and_not_a_hang(
    new_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(new_postgres(), pool_size=1)
    monkeypatch.setattr(database._pooled.pool, "_timeout", 0.1)
    with database.transaction(), pytest.raises(Refusal) as caught, database.transaction():
        pass
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest.mark.parametrize("use", ["reading", "transaction"])
def test_a_server_that_is_away_is_a_refusal(use: str) -> None:
    away = Database("postgresql+psycopg2://nobody@127.0.0.1:1/none", FixedClock())
    try:
        with pytest.raises(Refusal) as caught, getattr(away, use)():
            pytest.fail("there is nobody to connect to")
        assert caught.value.kind is Kind.UNAVAILABLE
    finally:
        away.close()


def test_a_database_error_carries_no_values(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    secret = "-".join(["open", "sesame"])  # so that no line of this test is what the trace shows
    with pytest.raises(sa.exc.IntegrityError) as caught, database.transaction() as transaction:
        for _ in range(2):
            transaction.execute(sa.insert(ITEM).values(id="a", secret=secret))
    logging.getLogger().exception("it failed", exc_info=caught.value)
    assert "it failed" in caplog.text
    assert secret not in caplog.text


def test_the_outbox_is_read_back_as_it_was_written(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.emit(SOLD, {"what": "é ☃"})
    with database.reading() as reader:
        row = reader.one(sa.select(OUTBOX))
    assert row is not None
    assert (row["must_route"], row["sent_at"], row["created_at"]) == (True, None, FixedClock().now())
    assert json.loads(row["body"])["data"] == {"what": "é ☃"}
