"""Statements that are made once, on SQLite and on the real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.persistence import Database, Statement, UtcDateTimeColumn
from chassis.persistence.statements import any_of, one_of
from chassis.testing import create_tables, round_trips, wait_until
from kernel.errors import Kind, Refusal

METADATA = sa.MetaData()
ITEM = sa.Table(
    "item",
    METADATA,
    sa.Column("id", sa.String(30), primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("number", sa.Integer),
    sa.Column("sold", sa.Boolean),
    sa.Column("at", UtcDateTimeColumn),
)
MOMENT = datetime(2026, 11, 24, 12, 30, 15, 123456, tzinfo=UTC)


class State(StrEnum):
    NEW = "new"
    OLD = "old"
    GONE = "gone"


EITHER = Statement(sa.select(ITEM.c.id).where(any_of(ITEM.c.id, "ids")).order_by(ITEM.c.id))
FIND = Statement(sa.select(ITEM).where(ITEM.c.id == sa.bindparam("item_id")))
LOCK = Statement(sa.select(ITEM.c.id).where(ITEM.c.id == sa.bindparam("item_id")).with_for_update())
NUMBERED = Statement(sa.select(ITEM.c.id, ITEM.c.at).where(ITEM.c.number > sa.bindparam("above")).order_by(ITEM.c.id))
AGE = Statement(
    sa.update(ITEM)
    .where(ITEM.c.id == sa.bindparam("item_id"), one_of(ITEM.c.state, [State.NEW, State.GONE]))
    .values(state=State.OLD, at=sa.bindparam("moment", type_=UtcDateTimeColumn))
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgres")()
    made = create_tables(Database(url, pool_size=2), METADATA)
    yield made
    made.close()


@pytest.fixture
def postgres(new_postgres: Callable[[], str]) -> Iterator[Database]:
    made = create_tables(Database(new_postgres(), pool_size=2), METADATA)
    yield made
    made.close()


def item(item_id: str, **values: Any) -> dict[str, Any]:
    return {"id": item_id, "state": State.NEW, "number": 1, "sold": True, "at": MOMENT, **values}


def found(database: Database, item_id: str) -> Any:
    with database.reading() as reader:
        return reader.one(FIND, item_id=item_id)


TAKE = Statement(
    sa.update(ITEM)
    .where(ITEM.c.id == sa.bindparam("item_id"), ITEM.c.state == State.NEW)
    .values(state=State.OLD)
    .returning(ITEM.c.id)
)  # fmt: skip


def test_a_statement_can_be_a_transaction_by_itself(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
    assert database.at_once(TAKE, item_id="a") == [{"id": "a"}]
    assert database.at_once(TAKE, item_id="a") == []
    assert found(database, "a")["state"] == State.OLD


def test_postgres_plans_a_statement_once_a_connection(postgres: Database) -> None:
    for _ in range(3):
        postgres.at_once(TAKE, item_id="a")
    with postgres.reading() as reader:
        (row,) = reader.all(sa.text("SELECT statement, custom_plans, generic_plans FROM pg_prepared_statements"))
    assert (row["custom_plans"], row["generic_plans"]) == (0, 3)
    assert "state = 'new'" in row["statement"]


def test_values_come_back_as_they_went_in(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.insert(ITEM, item("a", number=None, sold=None, at=None))
        transaction.insert(ITEM, item('b%s\' "x" \\ ; -- é', sold=False))
    assert found(database, "a") == item("a", number=None, sold=None, at=None)
    back = found(database, 'b%s\' "x" \\ ; -- é')
    assert back == item('b%s\' "x" \\ ; -- é', sold=False)
    assert back["at"].tzinfo is UTC
    assert found(database, "c") is None
    with database.reading() as reader:
        assert [row["id"] for row in reader.all(NUMBERED, above=0)] == ['b%s\' "x" \\ ; -- é']
        assert reader.all(NUMBERED, above=5) == []
        assert reader.scalar(NUMBERED, above=5) is None


def test_a_change_says_how_many_rows_it_was(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
        assert transaction.change(AGE, item_id="a", moment=MOMENT) == 1
        assert transaction.change(AGE, item_id="a", moment=MOMENT) == 0  # it is old by now
        assert transaction.insert_new(ITEM, item("a")) is False
        assert transaction.insert_new(ITEM, item("b")) is True


def test_a_list_of_any_length_is_one_value(database: Database) -> None:
    with database.transaction() as transaction:
        for name in ("a", "b", "it's", "{c,d}", '["e"]', "f\\"):
            transaction.insert(ITEM, item(name))
        for ids in ([], ["none"], ["b"], ["a", "b"], ["it's", "{c,d}", '["e"]', "f\\", "none"]):
            found = [row["id"] for row in transaction.all(EITHER, ids=ids)]
            assert found == sorted(set(ids) - {"none"}, key=found.index)


def test_what_was_written_is_seen_by_the_next_statement(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
        transaction.write(AGE, item_id="a", moment=MOMENT)
        assert transaction.one(FIND, item_id="a") == item("a", state=State.OLD)
        transaction.insert(ITEM, item("b"))
        # SQLAlchemy's own statements see it as well
        assert transaction.execute(sa.select(sa.func.count()).select_from(ITEM)).scalar() == 2
        transaction.execute(sa.insert(ITEM), [item("c"), item("d")])
    with database.reading() as reader:
        assert [row["id"] for row in reader.all(sa.select(ITEM.c.id).order_by(ITEM.c.id))] == ["a", "b", "c", "d"]


def test_what_was_written_is_gone_after_an_exception(database: Database) -> None:
    with pytest.raises(RuntimeError), database.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
        raise RuntimeError
    with pytest.raises(RuntimeError), database.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
        assert transaction.one(FIND, item_id="a") is not None
        transaction.insert(ITEM, item("b"))
        raise RuntimeError
    assert found(database, "a") is None
    assert found(database, "b") is None


def test_a_second_row_of_the_same_key_fails_the_transaction(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as transaction:
        transaction.insert(ITEM, item("b"))
        transaction.insert(ITEM, item("a"))
        transaction.insert(ITEM, item("c"))
    assert [found(database, name) is None for name in "abc"] == [False, True, True]
    with database.transaction() as transaction:  # the connection is as good as new
        transaction.insert(ITEM, item("b"))
    assert found(database, "b") is not None


def test_values_that_do_not_fit_the_statement_are_a_defect(postgres: Database) -> None:
    for values in ({}, {"item_id": "a", "more": 1}, {"item": "a"}):
        with postgres.reading() as reader, pytest.raises(TypeError, match="item_id"):
            reader.one(FIND, **values)


def test_an_error_carries_no_values(postgres: Database) -> None:
    with pytest.raises(sa.exc.DataError) as caught, postgres.transaction() as transaction:
        transaction.insert(ITEM, item("x" * 31, state="s3cret"))
    assert "s3cret" not in str(caught.value)


def test_a_transaction_takes_as_few_round_trips_as_it_has_questions(postgres: Database) -> None:
    with round_trips(postgres) as sent, postgres.transaction():
        pass
    assert sent == [], "a transaction in which nothing was said costs nothing"
    with round_trips(postgres) as sent, postgres.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
        transaction.scalar(LOCK, item_id="a")
        transaction.write(AGE, item_id="a", moment=MOMENT)
        transaction.insert(ITEM, item("b"))
    assert len(sent) == 2
    assert sent[0].startswith("BEGIN;")
    assert sent[1].endswith("COMMIT")


def test_a_statement_is_prepared_once_a_connection(postgres: Database) -> None:
    with round_trips(postgres) as sent:
        for name in ("a", "b", "c"):
            with postgres.transaction() as transaction:
                transaction.insert(ITEM, item(name))
                transaction.one(FIND, item_id=name)
    assert sum("PREPARE" in message for message in sent) == 1
    assert sum(message.count("PREPARE") for message in sent) == 2
    assert sum("SELECT" in message for message in sent) == 1


def test_an_error_before_something_was_prepared_leaves_a_sound_connection(postgres: Database) -> None:
    other = Statement(sa.select(ITEM.c.number).where(ITEM.c.id == sa.bindparam("item_id")))
    with postgres.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
    with pytest.raises(sa.exc.IntegrityError), postgres.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
        transaction.scalar(other, item_id="a")  # leaves with the insertion, after which nothing is done
    broken = Statement(sa.select(sa.bindparam("number", type_=sa.Integer) / 0))
    with pytest.raises(sa.exc.DataError), postgres.reading() as reader:
        reader.scalar(broken, number=1)
    with postgres.reading() as reader:
        assert reader.scalar(other, item_id="a") == 1
        assert reader.one(FIND, item_id="a") == item("a")


def test_a_locked_row_is_read_as_it_is_once_the_lock_is_held(postgres: Database) -> None:
    """The lock and the read may leave together: each statement has a snapshot of its own."""
    with postgres.transaction() as transaction:
        transaction.insert(ITEM, item("a", number=1))
    seen: list[Any] = []

    def wait_and_read() -> None:
        with postgres.transaction() as transaction:
            transaction.write(LOCK, item_id="a")
            seen.append(transaction.one(FIND, item_id="a"))

    with postgres.transaction() as transaction:
        transaction.scalar(LOCK, item_id="a")
        other = threading.Thread(target=wait_and_read)
        other.start()
        wait_until(lambda: _waits_for_a_lock(postgres), "the other transaction to wait")
        transaction.execute(sa.update(ITEM).values(number=2))
    other.join()
    assert seen[0]["number"] == 2


def _waits_for_a_lock(postgres: Database) -> bool:
    with postgres.engine.connect() as connection:
        waiting = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar()
    return bool(waiting)


def test_a_broken_connection_is_a_refusal_once_and_then_replaced(postgres: Database) -> None:
    with postgres.reading() as one, postgres.reading() as other:  # two connections in the pool
        one.scalar(FIND, item_id="a")
        other.scalar(FIND, item_id="a")
    with postgres.engine.connect() as admin:
        admin.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Refusal) as caught, postgres.transaction() as transaction:
        transaction.insert(ITEM, item("a"))
    assert caught.value.kind is Kind.UNAVAILABLE
    for name in ("b", "c", "d"):  # the other connection of the pool is not tried any more
        with postgres.transaction() as transaction:
            transaction.insert(ITEM, item(name))
    assert found(postgres, "a") is None
    assert found(postgres, "d") is not None
