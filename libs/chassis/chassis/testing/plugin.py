"""pytest fixtures: one broker and one database server a session, a fresh database or virtual host where asked.

Docker (testcontainers) if an engine answers, otherwise private servers from this machine's binaries. Never a skip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.local_servers import PrivatePostgres, PrivateRabbit, docker_answers, ensure_installed, temporary_folder
from chassis.persistence import Database
from chassis.testing.databases import PostgresDatabases, PostgresUrl, sqlite_database
from kernel.clock import Clock


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


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: PostgresUrl) -> PostgresDatabases:
    """Where fresh PostgreSQL databases come from."""
    return PostgresDatabases(postgres_url)


@pytest.fixture
def new_postgres(postgres_databases: PostgresDatabases) -> Iterator[Callable[..., str]]:
    """Call it to get the URL of a fresh, empty PostgreSQL database; with a package, of one with that schema."""
    with postgres_databases.lent() as lend:
        yield lend


@pytest.fixture
def migrated_postgres(postgres_databases: PostgresDatabases) -> Iterator[Callable[..., Database]]:
    """Like `migrated`, on the real PostgreSQL only; for what concerns locks between connections."""
    with postgres_databases.lent() as lend, ExitStack() as stack:

        def make(package: str, clock: Clock | None = None, **options: Any) -> Database:
            database = Database(lend(package), clock, **options)
            stack.callback(database.close)
            return database

        yield make


@pytest.fixture
def migrated_sqlite(tmp_path: Path) -> Iterator[Callable[..., Database]]:
    """Like `migrated`, on SQLite only; for what has nothing to do with the kind of database."""
    with ExitStack() as stack:

        def make(package: str, clock: Clock | None = None, **options: Any) -> Database:
            database = sqlite_database(tmp_path, package, clock, **options)
            stack.callback(database.close)
            return database

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest) -> Callable[..., Database]:
    """Call it with a package to get a fresh Database with that service's schema; runs the test on both kinds."""
    kind = {"sqlite": "migrated_sqlite", "postgresql": "migrated_postgres"}[request.param]
    made: Callable[..., Database] = request.getfixturevalue(kind)
    return made
