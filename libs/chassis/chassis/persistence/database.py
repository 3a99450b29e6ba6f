"""The unit of work: one transaction in which an effect, its inbox row and its outbox rows stand or fall together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from chassis import context, failpoints
from chassis.identity import Identity
from chassis.messages import Event, EventType, dump_checked
from chassis.persistence import sqlite
from chassis.persistence.audit import audit_row
from chassis.persistence.postgres import PostgresConnection, PostgresSession
from chassis.persistence.sqlite import SqliteSession
from chassis.persistence.statements import Row, Statement, insertion, insertion_if_new
from chassis.persistence.tables import AUDIT_ENTRY, INBOX, OUTBOX, UtcDateTimeColumn
from kernel.clock import Clock, SystemClock, rfc3339
from kernel.errors import unavailable
from kernel.ids import new_id

OutboxRow = dict[str, Any]

#: A prepared statement is planned once a connection (and again when the server has new statistics of its tables), not
#: for each execution: whatever could make another plan better stands in the statement itself.
_GENERIC_PLANS = "-c plan_cache_mode=force_generic_plan"

_NOTE_HANDLED = Statement(
    postgresql.insert(INBOX)
    .from_select(
        ["consumer", "event_id", "handled_at"],
        sa.select(
            sa.bindparam("consumer", type_=sa.String),
            sa.func.unnest(sa.bindparam("ids", type_=postgresql.ARRAY(sa.String))),
            sa.bindparam("moment", type_=UtcDateTimeColumn),
        ),
    )
    .on_conflict_do_nothing()
    .returning(INBOX.c.event_id)
)


class Session(Protocol):
    """What executes statements on a connection; see `chassis.persistence.postgres`."""

    is_sqlite: bool

    @property
    def connection(self) -> sa.Connection: ...
    def close(self) -> None: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def roll_back(self) -> None: ...
    def rows(self, statement: Statement, values: Row) -> Sequence[Row]: ...
    def change(self, statement: Statement, values: Row) -> int: ...
    def write(self, statement: Statement, values: Row) -> None: ...


class Reader:
    """Statements, and short ways to their results.

    What is asked often is a `Statement`, made once, with its values as keywords; anything else is SQLAlchemy's own.
    """

    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        #: The moment this unit of work began, for every row it writes.
        self.now = now

    @property
    def connection(self) -> sa.Connection:
        """SQLAlchemy's."""
        return self._session.connection

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database (no row locks there: a transaction has the database for itself)."""
        return self._session.is_sqlite

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run a statement; `parameters` may be one mapping or a list of them."""
        return self.connection.execute(statement, parameters)

    def one(self, statement: sa.Executable | Statement, /, **values: Any) -> Row | None:
        """The first row as a mapping, or None."""
        if isinstance(statement, Statement):
            found = self._session.rows(statement, values)
            return found[0] if found else None
        return self.connection.execute(statement).mappings().first()

    def all(self, statement: sa.Executable | Statement, /, **values: Any) -> Sequence[Row]:
        """All rows as mappings."""
        if isinstance(statement, Statement):
            return self._session.rows(statement, values)
        return self.connection.execute(statement).mappings().all()

    def scalar(self, statement: sa.Executable | Statement, /, **values: Any) -> Any:
        """The first column of the first row, or None."""
        if isinstance(statement, Statement):
            found = self.one(statement, **values)
            return None if found is None else next(iter(found.values()))
        return self.connection.execute(statement).scalar()


class Transaction(Reader):
    """An open transaction. What is emitted leaves for the bus if, and only if, it commits."""

    def __init__(self, session: Session, now: datetime) -> None:
        super().__init__(session, now)
        self.outbox: list[OutboxRow] = []
        self._after_commit: list[Callable[[], None]] = []

    def write(self, statement: Statement, /, **values: Any) -> None:
        """Change something, without looking at what came of it.

        On PostgreSQL the statement leaves with the next one that is looked at, or with the commit; so does its error.
        """
        self._session.write(statement, values)

    def insert(self, table: sa.Table, values: Mapping[str, Any]) -> None:
        """Insert a row, as `write` does.

        A row that has its unique key already is an `sqlalchemy.exc.IntegrityError`: of the next statement that is
        looked at, or of the commit.
        """
        self.write(insertion(table, tuple(values)), **values)

    def change(self, statement: Statement, /, **values: Any) -> int:
        """Change something; how many rows it was."""
        return self._session.change(statement, values)

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

    def audit(
        self, caller: Identity | None, action: str, subject_id: str, organization_id: str | None = None, **details: Any
    ) -> None:
        """Note who changes what, for the audit trail. The line stands or falls with the change.

        Args:
            caller: who does it; None for the store itself.
            action: what is done, ``thing.done`` as in ``card.frozen``.
            subject_id: the thing's id.
            organization_id: whom it concerns, so that its admins see the line.
            details: what one wants to know later. Never a secret.
        """
        row = audit_row(caller, action, subject_id, organization_id, details, self.now, context.correlation_id())
        self.insert(AUDIT_ENTRY, row)

    def accept(self, event: Event) -> bool:
        """Note in the inbox that this consumer handles the event; False if it has done so before."""
        return self.insert_new(INBOX, {"consumer": event.consumer, "event_id": event.id, "handled_at": self.now})

    def accept_each(self, events: Sequence[Event]) -> Iterator[Event]:
        """Those of some events of one consumer that it has not handled before, each while its context is at hand."""
        first_of = {event.id: event for event in reversed(events)}
        fresh = self._note_handled(events)
        return self.each([event for event in events if event.id in fresh and first_of[event.id] is event])

    def each(self, events: Iterable[Event]) -> Iterator[Event]:
        """Events one after the other, each while its context is at hand: what is emitted then is caused by it."""
        outer = context.current()
        try:
            for event in events:
                context.enter(context.RequestContext(event.correlation_id))
                yield event
        finally:
            context.enter(outer)

    def _note_handled(self, events: Sequence[Event]) -> set[str]:
        if self.is_sqlite or len(events) == 1:
            return {event.id for event in events if self.accept(event)}
        (consumer,) = {event.consumer for event in events}
        # in one order, so that two processes with the same events wait for each other in a row, not in a circle
        ids = sorted({event.id for event in events})
        return {row["event_id"] for row in self.all(_NOTE_HANDLED, consumer=consumer, ids=ids, moment=self.now)}

    def insert_new(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Insert a row unless one with the same unique key exists; whether it was inserted.

        Waits for another transaction that is inserting the same key, and is False once that has committed.
        """
        return self.change(insertion_if_new(table, tuple(values)), **values) == 1

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have `call` called once this transaction has committed (never if it does not)."""
        self._after_commit.append(call)

    def _flush_outbox(self) -> None:
        for row in self.outbox:
            self.insert(OUTBOX, row)

    def _committed(self) -> None:
        for call in self._after_commit:
            call()


class Database:
    """One service's database, PostgreSQL or SQLite.

    Args:
        url: SQLAlchemy's; ``postgresql+psycopg2://...`` or ``sqlite:///file``.
        clock: where `Transaction.now` comes from.
        pool_size: connections at most. They are kept: a new one costs the server a process, and has no statement
            prepared. When all are in use, callers wait 5 s and get `unavailable`.
    """

    def __init__(self, url: str, clock: Clock | None = None, pool_size: int = 20) -> None:
        self.clock = clock or SystemClock()
        self.url = sa.make_url(url)
        pooling = {"poolclass": sa.QueuePool, "pool_size": pool_size, "max_overflow": 0, "pool_timeout": 5}
        # an error in a log must not carry what was written
        quiet = {"hide_parameters": True}
        self._writer: threading.Lock | None = None
        if self.url.get_backend_name() == "sqlite":
            # One writer at a time: a greenlet that waited inside SQLite would hold up every other (reliability 14).
            self._writer = threading.Lock()
            options = {"connect_args": {"check_same_thread": False, "timeout": 15}}
            self._pooled = self.engine = sa.create_engine(self.url, **quiet, **pooling, **options)
            sa.event.listen(self.engine, "connect", sqlite.prepare)
        else:
            #: For migrations and tests: SQLAlchemy as it comes, a connection for each use.
            self.engine = sa.create_engine(self.url, **quiet, poolclass=sa.NullPool)
            plans = f"{self.url.query.get('options', '')} {_GENERIC_PLANS}"
            self._pooled = sa.create_engine(
                self.url, **quiet, **pooling, isolation_level="AUTOCOMMIT", pool_reset_on_return=None,
                connect_args={"connection_factory": PostgresConnection, "options": plans},
            )  # fmt: skip
        #: Called with the outbox rows of each commit; the relay sets it.
        self.on_outbox: Callable[[list[OutboxRow]], None] = lambda _rows: None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction: commits at the end of the block, rolls back on any exception.

        Raises:
            Refusal: `unavailable` when the database does not answer or the pool is exhausted.
        """
        with self._translated(), self._one_writer(), self._session() as session:
            session.begin()
            transaction = Transaction(session, self.clock.now())
            token = context.transaction_open.set(True)
            try:
                yield transaction
                transaction._flush_outbox()
                session.commit()
            except BaseException:
                session.roll_back()
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
        with self._translated(), self._session() as session:
            try:
                yield Reader(session, self.clock.now())
            except BaseException:
                session.roll_back()
                raise

    def at_once(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        """Run a statement that is a transaction by itself, without a BEGIN and a COMMIT around it; what it finds.

        Raises:
            Refusal: as `transaction` does.
        """
        with self._translated(), self._one_writer(), self._session() as session:
            if session.is_sqlite:
                session.begin()
            try:
                found = session.rows(statement, values)
                if session.is_sqlite:
                    session.commit()
            except BaseException:
                session.roll_back()
                raise
            return found

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Refusal: `unavailable`.
        """
        with self.reading() as reader:
            reader.scalar(sa.select(sa.literal(1)))

    def close(self) -> None:
        """Close the pooled connections."""
        self._pooled.dispose()

    def _session(self) -> closing[Session]:
        if self._writer is not None:
            return closing(SqliteSession(self._pooled))
        pool = self._pooled.pool
        return closing(PostgresSession(self._pooled, lambda: self._forget(pool)))

    def _forget(self, pool: sa.Pool) -> None:
        """The server was away: what else the pool holds is broken too, and need not fail one by one."""
        if self._pooled.pool is pool:
            self._pooled.dispose(close=False)

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
