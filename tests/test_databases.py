"""A PostgreSQL database that a test has used is as good as new for the next, or is not used again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from chassis.testing.databases import PostgresDatabases, PostgresUrl


@pytest.fixture
def databases(postgres_url: PostgresUrl) -> PostgresDatabases:
    return PostgresDatabases(postgres_url)


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with connected(url) as connection:
        tables = sa.inspect(connection).get_table_names()
        return {
            table: [tuple(row) for row in connection.execute(sa.text(f'SELECT * FROM "{table}"'))] for table in tables
        }


def use(databases: PostgresDatabases, package: str | None, *statements: str) -> str:
    """The URL of a database that a test takes, changes and gives back."""
    with databases.lent() as lend:
        url = lend(package)
        with connected(url) as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
    return url


def test_what_a_test_wrote_is_gone_and_what_the_migrations_wrote_is_there(databases: PostgresDatabases) -> None:
    new = contents(use(databases, "credits"))
    assert new["ledger_account"]
    url = use(
        databases, "credits",
        "INSERT INTO inbox (consumer, event_id, handled_at) VALUES ('credits', 'evt_1', now())",
        "INSERT INTO ledger_account (id, kind, owner_id, bounded) VALUES ('organization:a', 'organization', 'a', true)",
    )  # fmt: skip
    assert contents(url) != new
    with databases.lent() as lend:
        assert lend("credits") == url
        assert lend("credits") != url, "one database for two at once"
        assert contents(url) == new


def test_numbers_begin_again(databases: PostgresDatabases) -> None:
    number = "INSERT INTO order_number (taken_at) VALUES (now()) RETURNING serial"
    use(databases, "cart", number, number)
    with databases.lent() as lend, connected(lend("cart")) as connection:
        assert connection.scalar(sa.text(number)) == 1


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE inbox ADD COLUMN more text", "DROP TABLE inbox", "ALTER TABLE posting DISABLE TRIGGER ALL"],
)
def test_another_schema_is_not_used_again(databases: PostgresDatabases, change: str) -> None:
    url = use(databases, "credits", change)
    with databases.lent() as lend:
        assert lend("credits") != url


def test_whoever_is_still_connected_is_put_out(databases: PostgresDatabases) -> None:
    with databases.lent() as lend:
        url = lend("cart")
    with connected(url) as left_over:
        left_over.execute(sa.text("SELECT 1"))
        with databases.lent() as lend:
            assert lend("cart") == url
            with pytest.raises(sa.exc.OperationalError):
                left_over.execute(sa.text("SELECT 1"))
            left_over.invalidate()


def test_an_empty_database_is_empty_again(databases: PostgresDatabases) -> None:
    url = use(databases, None, "CREATE TABLE item (id integer)")
    with databases.lent() as lend:
        assert lend() == url
        assert contents(url) == {}
