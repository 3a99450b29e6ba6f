"""SQLite, for the embedded mode: every statement is executed at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chassis.persistence.statements import Row, Statement


class SqliteSession:
    """Executes statements, and opens and ends transactions; see `chassis.persistence.postgres.PostgresSession`.

    Args:
        engine: whose pool has a connection for it.
    """

    is_sqlite = True

    def __init__(self, engine: sa.Engine) -> None:
        self.connection = engine.connect()

    def close(self) -> None:
        self.connection.close()

    def begin(self) -> None:
        self.connection.exec_driver_sql("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.connection.commit()

    def roll_back(self) -> None:
        self.connection.rollback()

    def rows(self, statement: Statement, values: Row) -> Sequence[Row]:
        return self.connection.execute(statement.for_sqlite, dict(values)).mappings().all()

    def change(self, statement: Statement, values: Row) -> int:
        return self.connection.execute(statement.for_sqlite, dict(values)).rowcount

    def write(self, statement: Statement, values: Row) -> None:
        self.connection.execute(statement.for_sqlite, dict(values))


def prepare(connection: Any, _record: Any) -> None:
    """Set up a new connection of the driver's."""
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
