"""pytest fixtures: one broker and one database server a session, a fresh database or virtual host where asked.

Docker (testcontainers) if an engine answers, otherwise private servers from this machine's binaries. Never a skip.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
            server = PrivatePostgres(folder)
            server.start()
            stack.callback(server.stop)
            yield server.url


@pytest.fixture(scope="session")
def amqp_uri() -> Iterator[str]:
    """The real RabbitMQ."""
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


@pytest.fixture
def new_postgres(postgres_url: PostgresUrl) -> Callable[[], str]:
    """Call it to get the URL of a fresh PostgreSQL database."""

    def make() -> str:
        name = f"test_{next(_numbers)}"
        admin = sa.create_engine(postgres_url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        admin.dispose()
        return postgres_url(name)

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Database]]:
    """Call it with a package to get a fresh Database with that service's schema; runs the test on both kinds."""
    made: list[Database] = []

    def make(package: str, clock: Clock | None = None, **options: Any) -> Database:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / f'{package}-{next(_numbers)}.db'}"
        else:
            url = request.getfixturevalue("new_postgres")()
        database = Database(url, clock, **options)
        migrate(database, package)
        made.append(database)
        return database

    yield make
    for database in made:
        database.close()


@pytest.fixture
def migrated_postgres(new_postgres: Callable[[], str]) -> Iterator[Callable[..., Database]]:
    """Like `migrated`, on the real PostgreSQL only; for what concerns locks between connections."""
    made: list[Database] = []

    def make(package: str, clock: Clock | None = None, **options: Any) -> Database:
        database = Database(new_postgres(), clock, **options)
        migrate(database, package)
        made.append(database)
        return database

    yield make
    for database in made:
        database.close()
