"""The unit of work: one transaction in which an effect, its inbox row and its outbox rows stand or fall together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from chassis import context, failpoints
from chassis.messages import Event, EventType, dump_checked
from chassis.persistence.tables import INBOX, OUTBOX
from kernel.clock import Clock, SystemClock, rfc3339
from kernel.errors import unavailable
from kernel.ids import new_id

OutboxRow = dict[str, Any]


class Reader:
    """Statements, and short ways to their results."""

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        self.connection = connection
        #: The moment this unit of work began, for every row it writes.
        self.now = now

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database (no row locks there: a transaction has the database for itself)."""
        return self.connection.dialect.name == "sqlite"

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run a statement; `parameters` may be one mapping or a list of them."""
        return self.connection.execute(statement, parameters)

    def one(self, statement: sa.Executable) -> sa.RowMapping | None:
        """The first row as a mapping, or None."""
        return self.connection.execute(statement).mappings().first()

    def all(self, statement: sa.Executable) -> Sequence[sa.RowMapping]:
        """All rows as mappings."""
        return self.connection.execute(statement).mappings().all()

    def scalar(self, statement: sa.Executable) -> Any:
        """The first column of the first row, or None."""
        return self.connection.execute(statement).scalar()


class Transaction(Reader):
    """An open transaction. What is emitted leaves for the bus if, and only if, it commits."""

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        super().__init__(connection, now)
        self.outbox: list[OutboxRow] = []
        self._after_commit: list[Callable[[], None]] = []

    def emit(self, event_type: EventType, data: Mapping[str, Any]) -> str:
        """Write an event into the outbox; the relay sends it after the commit.

        Args:
            event_type: one that this service declares.
            data: what `event_type.schema` dumps.

        Returns:
            The event's id.
        """
        event_id = new_id("evt")
        envelope = {
            "id": event_id,
            "type": event_type.name,
            "occurred_at": rfc3339(self.now),
            "data": dump_checked(event_type.schema, data),
        }
        self.outbox.append(
            {
                "id": event_id,
                "type": event_type.name,
                "body": json.dumps(envelope, separators=(",", ":")),
                "correlation_id": context.correlation_id(),
                "must_route": event_type.must_route,
                "created_at": self.now,
                "sent_at": None,
            }
        )
        return event_id

    def accept(self, event: Event) -> bool:
        """Note in the inbox that this consumer handles the event; False if it has done so before."""
        return self.insert_new(INBOX, {"consumer": event.consumer, "event_id": event.id, "handled_at": self.now})

    def insert_new(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Insert a row unless one with the same unique key exists; whether it was inserted.

        Waits for another transaction that is inserting the same key, and is False once that has committed.
        """
        insert = (sqlite if self.is_sqlite else postgresql).insert
        result = self.connection.execute(insert(table).values(**values).on_conflict_do_nothing())
        return result.rowcount == 1

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called once this transaction has committed (never if it does not)."""
        self._after_commit.append(call)

    def _flush_outbox(self) -> None:
        if self.outbox:
            self.connection.execute(sa.insert(OUTBOX), self.outbox)

    def _committed(self) -> None:
        for call in self._after_commit:
            call()


class Database:
    """One service's database, PostgreSQL or SQLite.

    Args:
        url: SQLAlchemy's; ``postgresql+psycopg2://...`` or ``sqlite:///file``.
        clock: where `Transaction.now` comes from.
        pool_size: connections kept; as many again in a rush, then callers wait 5 s and get `unavailable`.
    """

    def __init__(self, url: str, clock: Clock | None = None, pool_size: int = 10) -> None:
        self.clock = clock or SystemClock()
        self.url = sa.make_url(url)
        options: dict[str, Any] = {}
        self._writer: threading.Lock | None = None
        if self.url.get_backend_name() == "sqlite":
            # One writer at a time: a greenlet that waited inside SQLite would hold up every other (reliability 14).
            self._writer = threading.Lock()
            options["connect_args"] = {"check_same_thread": False, "timeout": 15}
        self.engine = sa.create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=5,
            poolclass=sa.QueuePool,
            hide_parameters=True,  # an error in a log must not carry what was written
            **options,
        )
        if self._writer:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            self._reading = self.engine
        else:
            self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        #: Called with the outbox rows of each commit; the relay sets it.
        self.on_outbox: Callable[[list[OutboxRow]], None] = lambda _rows: None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction: commits at the end of the block, rolls back on any exception.

        Raises:
            Refusal: `unavailable` when the database does not answer or the pool is exhausted.
        """
        with self._translated(), self._one_writer(), self.engine.connect() as connection:
            if self._writer:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            transaction = Transaction(connection, self.clock.now())
            token = context.transaction_open.set(True)
            try:
                yield transaction
                transaction._flush_outbox()
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            finally:
                context.transaction_open.reset(token)
        if transaction.outbox:
            failpoints.reach("outbox.committed")
            self.on_outbox(transaction.outbox)
        transaction._committed()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Statements that each see the newest committed state; for look-ups that change nothing."""
        with self._translated(), self._reading.connect() as connection:
            yield Reader(connection, self.clock.now())

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Refusal: `unavailable`.
        """
        with self.reading() as reader:
            reader.scalar(sa.select(sa.literal(1)))

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if self._writer is None:
            yield
        else:
            with self._writer:
                yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise unavailable() from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
