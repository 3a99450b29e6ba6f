"""Databases for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Database
from chassis.persistence.migrations import migrate
from chassis.persistence.tables import METADATA, OUTBOX
from kernel.clock import Clock


def sqlite_database(folder: Path, package: str, clock: Clock | None = None) -> Database:
    """A fresh SQLite database with a service's schema, made by its migrations."""
    database = Database(f"sqlite:///{folder / f'{package}.db'}", clock)
    migrate(database, package)
    return database


def create_tables(database: Database, metadata: sa.MetaData | None = None) -> Database:
    """Make the chassis' tables (and those of `metadata`) without migrations, for tests of the chassis itself."""
    METADATA.create_all(database.engine)
    if metadata is not None:
        metadata.create_all(database.engine)
    return database


def emitted(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """The type and the data of every event in the outbox, oldest first."""
    with database.reading() as reader:
        rows = reader.all(sa.select(OUTBOX.c.type, OUTBOX.c.body).order_by(OUTBOX.c.created_at, OUTBOX.c.id))
    return [(row["type"], json.loads(row["body"])["data"]) for row in rows]
