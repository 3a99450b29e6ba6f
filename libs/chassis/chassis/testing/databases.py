"""Databases for tests, fresh for each test and cheap: a service's migrations run once a process and kind of database.

SQLite's is a copy of a migrated file. A PostgreSQL database takes a hundred times as long to make as a test needs, so
that one is used again: emptied, and filled with what the migrations had put there. One whose schema a test has changed,
or that somebody still holds a lock in, is not.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Database
from chassis.persistence.migrations import migrate
from kernel.clock import Clock

_numbers = itertools.count(1)
PostgresUrl = Callable[[str], str]

#: Where a PostgreSQL database keeps the rows that the migrations had written.
_KEPT = "as_migrated"

#: Changes whenever anything but rows does: what each catalogue holds of ours, and the newest transaction that wrote it.
_SCHEMA = " UNION ALL ".join(
    f"SELECT count(*), max(xmin::text::bigint) FROM {catalogue} WHERE {of_whom} >= 16384"  # fixed words
    for catalogue, of_whom in (
        ("pg_attribute", "attrelid"), ("pg_constraint", "oid"), ("pg_index", "indexrelid"), ("pg_trigger", "oid"),
        ("pg_proc", "oid"), ("pg_attrdef", "oid"),
    )
)  # fmt: skip

#: The processes that a test killed may have left a statement behind that their server has not read yet.
_ALONE = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

_KEEP = f"""
CREATE SCHEMA {_KEPT};
DO $$ DECLARE name text; written boolean; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO written;
    IF written THEN EXECUTE format('CREATE TABLE {_KEPT}.%I AS TABLE public.%I', name, name); END IF;
  END LOOP;
END $$;
"""

#: Triggers and foreign keys are off meanwhile. Tables that no test wrote have no size, and need nothing.
_EMPTY = f"""
SET lock_timeout = '5s';
SET session_replication_role = replica;
DO $$ DECLARE name text; names text; BEGIN
  SELECT string_agg(oid::regclass::text, ', ') INTO names FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    AND pg_relation_size(oid) > 0;
  IF names IS NULL THEN RETURN; END IF;
  EXECUTE 'TRUNCATE ' || names || ' RESTART IDENTITY CASCADE';
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = '{_KEPT}' LOOP
    EXECUTE format('INSERT INTO public.%I SELECT * FROM {_KEPT}.%I', name, name);
  END LOOP;
END $$;
"""


def sqlite_database(folder: Path, package: str, clock: Clock | None = None, **options: Any) -> Database:
    """A fresh SQLite database with a service's schema, as its migrations make it.

    Args:
        folder: where its file, ``PACKAGE.db``, goes; there is none yet.
        package: the service's import name.
        clock, options: what `Database` takes.
    """
    file = folder / f"{package}.db"
    with file.open("xb") as copy:
        copy.write(_migrated_file(package))
    database = Database(f"sqlite:///{file}", clock, **options)
    sa.event.listen(database.engine, "connect", _do_not_wait_for_the_disk)
    return database


def _do_not_wait_for_the_disk(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # no power is cut here


@cache
def _migrated_file(package: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "migrated.db"
        database = Database(f"sqlite:///{file}")
        migrate(database, package)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it into the file that is copied
        database.close()
        return file.read_bytes()


@dataclass(frozen=True)
class _Made:
    """A PostgreSQL database: its URL, the service whose schema it has (None: nobody's), what `_SCHEMA` says of that,
    and the connection that empties it."""

    url: str
    package: str | None
    schema: Any
    engine: sa.Engine

    def emptied(self) -> bool:
        """Make it as it was when it was new; whether that went well."""
        try:
            with self.engine.connect() as connection:
                connection.execute(sa.text(_ALONE))
                if self.package is None:
                    connection.execute(sa.text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
                    return True
                if _schema(connection) != self.schema:
                    return False
                connection.execute(sa.text(_EMPTY))
                return True
        except sa.exc.OperationalError:
            return False


class PostgresDatabases:
    """Fresh PostgreSQL databases on one server.

    Args:
        url_of: gives the URL of a database of that server by its name.
    """

    def __init__(self, url_of: PostgresUrl) -> None:
        self._url_of = url_of
        self._templates: dict[str, str] = {}
        self._free: dict[str | None, list[_Made]] = defaultdict(list)

    @contextmanager
    def lent(self) -> Iterator[Callable[..., str]]:
        """While the block lasts: call it with a package to get the URL of a database with that service's schema;
        without, of an empty one."""
        made: list[_Made] = []

        def lend(package: str | None = None) -> str:
            made.append(self._used(package) or self._new(package))
            return made[-1].url

        yield lend
        for one in made:
            self._free[one.package].append(one)

    def _used(self, package: str | None) -> _Made | None:
        free = self._free[package]
        while free:
            one = free.pop()
            if one.emptied():
                return one
            one.engine.dispose()
        return None

    def _new(self, package: str | None) -> _Made:
        url = self._create("template0" if package is None else self._template(package))
        engine = _engine(url)
        with engine.connect() as connection:
            return _Made(url, package, _schema(connection), engine)

    def _template(self, package: str) -> str:
        if package not in self._templates:
            url = self._create("template0")
            database = Database(url)
            migrate(database, package)
            database.close()
            _execute(url, _KEEP)
            self._templates[package] = str(database.url.database)
        return self._templates[package]

    def _create(self, template: str) -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        _execute(self._url_of("postgres"), f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self._url_of(name)


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url, isolation_level="AUTOCOMMIT")


def _execute(url: str, statement: str) -> None:
    engine = _engine(url)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def _schema(connection: sa.Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(sa.text(_SCHEMA))]
