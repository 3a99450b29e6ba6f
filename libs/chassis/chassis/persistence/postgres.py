"""A PostgreSQL connection that saves round trips: what nobody waits for leaves with the next statement.

``BEGIN``, changes whose outcome nobody looks at, and ``COMMIT`` need no answer of their own. They are kept back and
sent in one go with the next statement that does (PostgreSQL's simple protocol takes several statements at once, runs
them in order, each with a snapshot of its own, and stops at the first error). A transaction of eight statements is two
or three round trips instead of ten, and that is most of what it costs on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection, cursor

from chassis.persistence.statements import Compiled, Row, Statement


class PostgresConnection(connection):  # psycopg2's way to extend it
    """psycopg2's connection with statements that wait. It is always in autocommit mode: we say BEGIN ourselves."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: list[bytes] = []
        #: Names of the statements that the server has prepared; and of those that it is about to be told.
        self._prepared: set[str] = set()
        self._preparing: set[str] = set()

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        options.setdefault("cursor_factory", PostgresCursor)
        return super().cursor(*arguments, **options)

    def send_later(self, statement: bytes) -> None:
        """Keep a statement without parameters until the next one is executed."""
        self._waiting.append(statement)

    def prepare(self, compiled: Compiled) -> None:
        """Have a statement prepared before it is executed, unless it is already."""
        if compiled.name not in self._prepared and compiled.name not in self._preparing:
            self._waiting.append(compiled.prepare)
            self._preparing.add(compiled.name)

    def note_prepared(self) -> None:
        """What waited has been executed."""
        if self._preparing:
            self._prepared |= self._preparing
            self._preparing = set()

    def take_waiting(self) -> list[bytes]:
        """What waits to be sent, for whoever sends it now."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def begin(self) -> None:
        """Open a transaction, with the first statement in it."""
        self._waiting = [b"BEGIN"]

    def commit_all(self) -> None:
        """Send what waits, and commit. A transaction in which nothing was said costs nothing."""
        if self._waiting == [b"BEGIN"]:
            self._waiting = []
            return
        with self.cursor() as commit:
            commit.execute("COMMIT")

    def roll_back(self) -> None:
        """Forget what waits, and undo what was sent."""
        self._waiting = []
        if self.closed:
            return
        if self._preparing:  # whether the server got so far is not known
            self._preparing, self._prepared = set(), set()
            self._waiting = [b"ROLLBACK"]
            with self.cursor() as undo:
                undo.execute("DEALLOCATE ALL")
        elif self.info.transaction_status != TRANSACTION_STATUS_IDLE:
            with self.cursor() as undo:
                undo.execute("ROLLBACK")


class PostgresCursor(cursor):
    """psycopg2's cursor; sends what waits on its connection first, in the same message."""

    connection: PostgresConnection

    def execute(self, query: Any, parameters: Any = None) -> None:
        waiting = self.connection.take_waiting()
        if not waiting:
            super().execute(query, parameters)
            return
        waiting.append(self.mogrify(query, parameters))
        super().execute(b";\n".join(waiting))
        self.connection.note_prepared()

    def executemany(self, query: Any, many: Any) -> None:
        waiting = self.connection.take_waiting()
        if waiting:
            super().execute(b";\n".join(waiting))
            self.connection.note_prepared()
        super().executemany(query, many)


class PostgresSession:
    """Executes statements on a pooled connection, and opens and ends transactions there.

    Args:
        engine: whose pool has a connection for it, in autocommit mode.
        on_disconnect: called when the connection turned out to be broken: the others of the pool will be, too.
    """

    is_sqlite = False

    def __init__(self, engine: sa.Engine, on_disconnect: Callable[[], None]) -> None:
        self._engine = engine
        self._on_disconnect = on_disconnect
        try:
            self._pooled = engine.raw_connection()
        except psycopg2.Error as error:  # the server is away, or will not have us
            raise _in_sqlalchemys_words(error, engine) from error
        self._driver: Any = self._pooled.dbapi_connection
        self._connection: sa.Connection | None = None

    @property
    def connection(self) -> sa.Connection:
        """SQLAlchemy's way to the same connection, made only where somebody goes it: that costs as much as a statement
        does.
        """
        if self._connection is None:
            self._connection = sa.Connection(self._engine, self._pooled)
        return self._connection

    def close(self) -> None:
        """Give the connection back to the pool."""
        (self._connection or self._pooled).close()

    def begin(self) -> None:
        """Open a transaction."""
        self._driver.begin()

    def commit(self) -> None:
        """Commit it. What was kept back fails here if it fails."""
        with self._worded():
            self._driver.commit_all()

    def roll_back(self) -> None:
        """Undo it. Never raises: a connection that cannot be rolled back is not used again."""
        if not self._pooled.is_valid:
            return
        try:
            self._driver.roll_back()
        except psycopg2.Error:
            self._pooled.invalidate()

    def rows(self, statement: Statement, values: Row) -> Sequence[Row]:
        """What a statement finds."""
        compiled = statement.compiled
        with self._executed(compiled, values) as executed:
            return compiled.rows(executed)

    def change(self, statement: Statement, values: Row) -> int:
        """How many rows a statement changed."""
        with self._executed(statement.compiled, values) as executed:
            changed: int = executed.rowcount
            return changed

    def write(self, statement: Statement, values: Row) -> None:
        """Have a statement executed with the next one, or with the commit."""
        compiled = statement.compiled
        parameters = compiled.parameters(values)
        self._driver.prepare(compiled)
        with self._driver.cursor() as renderer:
            self._driver.send_later(renderer.mogrify(compiled.execute, parameters))

    @contextmanager
    def _executed(self, compiled: Compiled, values: Row) -> Iterator[Any]:
        with self._worded(), self._driver.cursor() as executed:
            parameters = compiled.parameters(values)
            self._driver.prepare(compiled)
            executed.execute(compiled.execute, parameters)
            yield executed

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """What goes wrong is said in SQLAlchemy's words, as everywhere else; a broken connection is not used again."""
        try:
            yield
        except psycopg2.Error as error:
            dialect = self._engine.dialect
            if dialect.is_disconnect(error, self._driver, None):
                self._pooled.invalidate(error)
                self._on_disconnect()
            raise _in_sqlalchemys_words(error, self._engine) from error


def _in_sqlalchemys_words(error: psycopg2.Error, engine: sa.Engine) -> BaseException:
    worded: BaseException = sa.exc.DBAPIError.instance(
        None, None, error, psycopg2.Error, hide_parameters=True, dialect=engine.dialect
    )
    return worded
