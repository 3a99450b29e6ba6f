"""Databases for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Database
from chassis.persistence.postgres import PostgresCursor
from chassis.persistence.tables import METADATA, OUTBOX


def create_tables(database: Database, metadata: sa.MetaData | None = None) -> Database:
    """Make the chassis' tables (and those of `metadata`) without migrations, for tests of the chassis itself."""
    METADATA.create_all(database.engine)
    if metadata is not None:
        metadata.create_all(database.engine)
    return database


@contextmanager
def round_trips(database: Database) -> Iterator[list[str]]:
    """What is sent to a database inside the block: an item for each time that its answer is waited for."""
    seen: list[str] = []
    if database.url.get_backend_name() == "sqlite":

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not statement.startswith("BEGIN"):
                seen.append(statement)

        sa.event.listen(database.engine, "before_cursor_execute", note)
        yield seen
        sa.event.remove(database.engine, "before_cursor_execute", note)
        return
    execute = PostgresCursor.execute

    def note_and_execute(self: PostgresCursor, query: Any, parameters: Any = None) -> None:
        waiting = self.connection.take_waiting()
        seen.append(b"; ".join([*waiting, self.mogrify(query, parameters)]).decode())
        for statement in waiting:
            self.connection.send_later(statement)
        execute(self, query, parameters)

    with database.reading() as reader:  # what SQLAlchemy asks at the first connection does not count
        reader.scalar(sa.select(sa.literal(1)))
    seen.clear()
    PostgresCursor.execute = note_and_execute  # type: ignore[method-assign]  # for this block only
    try:
        yield seen
    finally:
        PostgresCursor.execute = execute  # type: ignore[method-assign]


def emitted(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """The type and the data of every event in the outbox, oldest first."""
    with database.reading() as reader:
        rows = reader.all(sa.select(OUTBOX.c.type, OUTBOX.c.body).order_by(OUTBOX.c.created_at, OUTBOX.c.id))
    return [(row["type"], json.loads(row["body"])["data"]) for row in rows]
