"""Alembic migrations that ship inside each service's package (``<service>/migrations``)."""

from __future__ import annotations

import re
import zlib
from importlib.resources import as_file, files

import sqlalchemy as sa
from alembic import command, op
from alembic import context as alembic_context
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from chassis.persistence.database import Database


def migrate(database: Database, package: str) -> bool:
    """Bring a database up to the newest schema of a service. Safe to call from several processes at once.

    Args:
        database: the service's.
        package: the service's import name.

    Returns:
        Whether there was anything to do.
    """
    with as_file(files(package) / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        with database.engine.connect() as connection:
            postgres = connection.dialect.name == "postgresql"
            if postgres:
                # Two processes starting at once: the second waits here and then finds nothing to do.
                connection.execute(sa.select(sa.func.pg_advisory_lock(zlib.crc32(package.encode()))))
                connection.commit()
            try:
                current = MigrationContext.configure(connection).get_current_heads()
                connection.rollback()
                if set(current) == set(ScriptDirectory.from_config(config).get_heads()):
                    return False
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
                return True
            finally:
                if postgres:
                    connection.rollback()
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(zlib.crc32(package.encode()))))
                    connection.commit()


def run_environment(metadata: sa.MetaData) -> None:
    """What a service's ``migrations/env.py`` calls.

    Args:
        metadata: the service's tables, for `alembic revision --autogenerate`.
    """
    connection: sa.Connection = alembic_context.config.attributes["connection"]
    alembic_context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
    )
    with alembic_context.begin_transaction():
        alembic_context.run_migrations()


def replace_check(table: str, name: str, condition: str) -> None:
    """Give a CHECK constraint another condition, or add it; for a service's migration.

    SQLite cannot alter a constraint, and copying a table that others refer to would need foreign keys to be off, which
    they cannot be within a transaction. Its schema is edited instead, as its manual says for constraints that change
    nothing that is stored (https://www.sqlite.org/lang_altertable.html, "simpler and faster procedure").

    Args:
        table: of ours.
        name: of the constraint.
        condition: what every row must meet; the rows that are there are not looked at on SQLite.
    """
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f'ALTER TABLE {table} DROP CONSTRAINT IF EXISTS "{name}"'))
        op.create_check_constraint(name, table, sa.text(condition))
        return
    schema = connection.scalar(
        sa.text("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = :table"), {"table": table}
    )
    version = connection.scalar(sa.text("PRAGMA schema_version"))
    connection.execute(sa.text("PRAGMA writable_schema = ON"))
    connection.execute(
        sa.text("UPDATE sqlite_schema SET sql = :sql WHERE type = 'table' AND name = :table"),
        {"sql": _with_check(schema, name, condition), "table": table},
    )
    connection.execute(sa.text(f"PRAGMA schema_version = {version + 1}"))
    connection.execute(sa.text("PRAGMA writable_schema = OFF"))


def _with_check(schema: str, name: str, condition: str) -> str:
    """The CREATE TABLE statement with that constraint in place of the one of that name, or at its end."""
    wanted = f"CONSTRAINT {name} CHECK ({condition})"
    found = re.search(rf"CONSTRAINT {re.escape(name)} CHECK \(", schema)
    if found is None:
        head, _, tail = schema.rpartition(")")
        return f"{head}, {wanted}){tail}"
    depth, quoted = 1, False
    for end in range(found.end(), len(schema)):
        quoted ^= schema[end] == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(schema[end], 0)
        if not depth:
            return schema[: found.start()] + wanted + schema[end + 1 :]
    raise ValueError(f"the constraint {name} does not end")
