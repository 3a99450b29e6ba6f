"""Alembic migrations that ship inside each service's package (``<service>/migrations``)."""

from __future__ import annotations

import zlib
from importlib.resources import as_file, files

import sqlalchemy as sa
from alembic import command
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
