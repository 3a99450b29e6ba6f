"""pytest fixtures: one broker and one database server a session, a fresh database or virtual host where asked.

Docker (testcontainers) if an engine answers, otherwise private servers from this machine's binaries. Never a skip.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.local_servers import PrivatePostgres, PrivateRabbit, docker_answers, ensure_installed, temporary_folder
from chassis.persistence import Database
from chassis.persistence.migrations import migrate
from kernel.clock import Clock

_numbers = itertools.count(1)
PostgresUrl = Callable[[str], str]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[PostgresUrl]:
    """The real PostgreSQL: call it with a database name to get SQLAlchemy's URL of that database."""
    with ExitStack() as stack:
        if docker_answers():
            from testcontainers.postgres import PostgresContainer

            container = stack.enter_context(PostgresContainer("postgres:15-alpine"))
            base = sa.make_url(container.get_connection_url())
            yield lambda name: base.set(database=name).render_as_string(hide_password=False)
        else:
            ensure_installed()
            folder = stack.enter_context(temporary_folder("postgresql"))
            server = PrivatePostgres(folder, durable=False)
            server.start()
            stack.callback(server.kill)  # its data goes with it
            yield server.url


@contextmanager
def running_rabbit() -> Iterator[str]:
    """A RabbitMQ of its own, while the block lasts: its address."""
    with ExitStack() as stack:
        if docker_answers():
            from testcontainers.rabbitmq import RabbitMqContainer

            container = stack.enter_context(RabbitMqContainer("rabbitmq:3.13-alpine"))
            parameters = container.get_connection_params()
            yield f"amqp://guest:guest@{parameters.host}:{parameters.port}//"
        else:
            ensure_installed()
            folder = stack.enter_context(temporary_folder("rabbitmq"))
            server = PrivateRabbit(folder)
            server.start()
            stack.callback(server.stop)
            yield server.uri


@pytest.fixture(scope="session")
def amqp_uri() -> Iterator[str]:
    """The real RabbitMQ."""
    with running_rabbit() as uri:
        yield uri


class _Templates:
    """Fresh databases by copying: a service's migrations run once a session and kind of database."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request = request
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._names: dict[str, str] = {}

    def sqlite(self, package: str, file: Path) -> str:
        if package not in self._files:
            self._files[package] = self._folder / f"{package}.db"
            _migrate(f"sqlite:///{self._files[package]}", package)
        shutil.copy(self._files[package], file)
        return f"sqlite:///{file}"

    def postgresql(self, package: str | None = None) -> str:
        url: PostgresUrl = self._request.getfixturevalue("postgres_url")
        if package is not None and package not in self._names:
            self._names[package] = self._create(url, "template0")
            _migrate(url(self._names[package]), package)
        return url(self._create(url, "template0" if package is None else self._names[package]))

    def _create(self, url: PostgresUrl, template: str) -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        admin = sa.create_engine(url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        return name


def _migrate(url: str, package: str) -> None:
    database = Database(url)
    migrate(database, package)
    with database.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it into the file that is copied
    database.close()


@pytest.fixture(scope="session")
def database_templates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Templates:
    """Where fresh databases come from."""
    return _Templates(request, tmp_path_factory.mktemp("templates"))


@pytest.fixture
def new_postgres(database_templates: _Templates) -> Callable[[], str]:
    """Call it to get the URL of a fresh, empty PostgreSQL database."""
    return database_templates.postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated(
    request: pytest.FixtureRequest, database_templates: _Templates, tmp_path: Path
) -> Iterator[Callable[..., Database]]:
    """Call it with a package to get a fresh Database with that service's schema; runs the test on both kinds."""
    made: list[Database] = []

    def make(package: str, clock: Clock | None = None, **options: Any) -> Database:
        if request.param == "sqlite":
            url = database_templates.sqlite(package, tmp_path / f"{package}-{next(_numbers)}.db")
        else:
            url = database_templates.postgresql(package)
        made.append(Database(url, clock, **options))
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture
def migrated_postgres(database_templates: _Templates) -> Iterator[Callable[..., Database]]:
    """Like `migrated`, on the real PostgreSQL only; for what concerns locks between connections."""
    made: list[Database] = []

    def make(package: str, clock: Clock | None = None, **options: Any) -> Database:
        made.append(Database(database_templates.postgresql(package), clock, **options))
        return made[-1]

    yield make
    for database in made:
        database.close()
