"""Tables and queries of support. It only stores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction, UtcDateTimeColumn, add_messaging_tables
from chassis.persistence.paging import page
from chassis.persistence.tables import IDEMPOTENCY_KEY
from kernel.clock import CLOCKS_DIFFER
from support.domain.tickets import OverrunState, State, Step, Ticket

METADATA = sa.MetaData()
add_messaging_tables(METADATA)

_UNDER_WAY = sa.text("step IS NOT NULL")
_QUEUED = sa.text("state IN ('open', 'waiting_for_customer')")

TICKET_NUMBER = sa.Table(
    "ticket_number",
    METADATA,
    sa.Column("serial", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("taken_at", UtcDateTimeColumn, nullable=False),
)

#: A trigger refuses to change what a ticket is about and whose it is, and to delete one.
TICKET = sa.Table(
    "ticket",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.String(32), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("organization_name", sa.String(200), nullable=False),
    sa.Column("deployment_id", sa.String(64), nullable=False),
    sa.Column("deployment_name", sa.String(200), nullable=False),
    sa.Column("requester_id", sa.String(64), nullable=False),
    sa.Column("requester_email", sa.String(320), nullable=False),
    sa.Column("requester_name", sa.String(200), nullable=False),
    sa.Column("requester_language", sa.String(20), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("cap_credits", sa.BigInteger, nullable=False),
    sa.Column("worked_minutes", sa.BigInteger, nullable=False),
    sa.Column("written_off_minutes", sa.BigInteger, nullable=False),
    sa.Column("debited_credits", sa.BigInteger, nullable=False),
    sa.Column("given_back_credits", sa.BigInteger, nullable=False),
    sa.Column("opened_at", UtcDateTimeColumn, nullable=False),
    sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
    sa.Column("begun_at", UtcDateTimeColumn),  # when support did something for it, in this round
    sa.Column("closed_at", UtcDateTimeColumn),
    sa.Column("defect_at", UtcDateTimeColumn),
    sa.Column("defect_reason", sa.String(400)),
    # what credits is being asked, by whom, and when it is asked again
    sa.Column("step", sa.String(20)),
    sa.Column("step_subject", sa.String(64)),
    sa.Column("step_scope", sa.String(64)),
    sa.Column("step_key", sa.String(255)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", UtcDateTimeColumn),
    sa.UniqueConstraint("number", name="ticket_number_unique"),
    sa.CheckConstraint(
        "state IN ('opening', 'refused', 'open', 'waiting_for_customer', 'closing', 'closed')", name="ticket_state"
    ),
    sa.CheckConstraint("step IN ('hold', 'raise', 'settle', 'give_back')", name="ticket_step"),
    sa.CheckConstraint("(step IS NULL) = (next_attempt_at IS NULL)", name="ticket_step_goes_on"),
    sa.CheckConstraint("(state = 'opening') = (step IS NOT NULL AND step = 'hold')", name="ticket_opening_holds"),
    sa.CheckConstraint("(state = 'closing') = (step IS NOT NULL AND step = 'settle')", name="ticket_closing_settles"),
    sa.CheckConstraint("state <> 'closed' OR closed_at IS NOT NULL", name="ticket_closed_at"),
    sa.CheckConstraint("(defect_at IS NULL) = (defect_reason IS NULL)", name="ticket_defect"),
    sa.CheckConstraint("cap_credits > 0", name="ticket_cap"),
    sa.CheckConstraint("round > 0", name="ticket_round"),
    sa.CheckConstraint(
        "written_off_minutes >= 0 AND worked_minutes >= written_off_minutes", name="ticket_written_off"
    ),
    sa.CheckConstraint(
        "given_back_credits >= 0 AND debited_credits >= given_back_credits", name="ticket_given_back"
    ),
    sa.CheckConstraint("given_back_credits = 0 OR defect_at IS NOT NULL", name="ticket_given_back_for_defect"),
    sa.Index("ticket_list", "organization_id", "id"),
    sa.Index("ticket_queue", "state", "id", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    sa.Index("ticket_to_resume", "next_attempt_at", sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY),
)  # fmt: skip

#: Time worked. Triggers refuse to change or delete a row: a mistake is taken back by another one, once.
TIME_ENTRY = sa.Table(
    "time_entry",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("ticket_id", sa.String(64), sa.ForeignKey("ticket.id"), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("minutes", sa.Integer, nullable=False),
    sa.Column("note", sa.String(400), nullable=False),
    sa.Column("worked_on", sa.Date, nullable=False),
    sa.Column("worked_by", sa.String(64), nullable=False),
    sa.Column("worked_by_name", sa.String(200), nullable=False),
    sa.Column("recorded_at", UtcDateTimeColumn, nullable=False),
    sa.Column("reverses_id", sa.String(64), sa.ForeignKey("time_entry.id")),
    sa.UniqueConstraint("reverses_id", name="time_entry_reversed_once"),
    sa.CheckConstraint("(minutes < 0) = (reverses_id IS NOT NULL) AND minutes <> 0", name="time_entry_minutes"),
    sa.Index("time_entry_of_ticket", "ticket_id", "id"),
)

#: Questions for more credits; one at a time.
OVERRUN = sa.Table(
    "overrun",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("ticket_id", sa.String(64), sa.ForeignKey("ticket.id"), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("credits", sa.BigInteger, nullable=False),
    sa.Column("asked_at", UtcDateTimeColumn, nullable=False),
    sa.Column("ended_at", UtcDateTimeColumn),
    sa.Column("answered_by", sa.String(64)),
    sa.CheckConstraint("state IN ('asked', 'approved', 'declined', 'withdrawn')", name="overrun_state"),
    sa.CheckConstraint("(state = 'asked') = (ended_at IS NULL)", name="overrun_ended_at"),
    sa.CheckConstraint("credits > 0", name="overrun_credits"),
    sa.Index(
        "overrun_one_asked", "ticket_id", unique=True, sqlite_where=sa.text("state = 'asked'"),
        postgresql_where=sa.text("state = 'asked'"),
    ),
)  # fmt: skip

#: What is written about a ticket; the internal ones are for staff only.
COMMENT = sa.Table(
    "ticket_comment",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("ticket_id", sa.String(64), sa.ForeignKey("ticket.id"), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("internal", sa.Boolean, nullable=False),
    sa.Column("by_staff", sa.Boolean, nullable=False),
    sa.Column("author_id", sa.String(64), nullable=False),
    sa.Column("author_name", sa.String(200), nullable=False),
    sa.Column("written_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint("by_staff OR NOT internal", name="ticket_comment_internal"),
    sa.Index("ticket_comment_of_ticket", "ticket_id", "id"),
)

_COLUMNS = tuple(field.name for field in fields(Ticket))


def take_serial(transaction: Transaction) -> int:
    """The next number of a ticket; a rollback leaves a gap."""
    statement = sa.insert(TICKET_NUMBER).values(taken_at=transaction.now).returning(TICKET_NUMBER.c.serial)
    return int(transaction.scalar(statement))


def insert_ticket(transaction: Transaction, ticket: Ticket) -> None:
    """Store a new ticket."""
    values = {name: getattr(ticket, name) for name in _COLUMNS}
    transaction.insert(TICKET, {**values, "state": str(ticket.state), "step": ticket.step and str(ticket.step)})


def read_ticket(reader: Reader, ticket_id: str, organization_id: str | None = None) -> Ticket | None:
    """A ticket; only that organisation's, unless it is None."""
    return _found(reader.one(_one(ticket_id, organization_id)))


def lock_ticket(transaction: Transaction, ticket_id: str, organization_id: str | None = None) -> Ticket | None:
    """The same, which nobody else changes until the transaction ends."""
    return _found(transaction.one(_one(ticket_id, organization_id).with_for_update()))


def _one(ticket_id: str, organization_id: str | None) -> sa.Select[Any]:
    query = sa.select(TICKET).where(TICKET.c.id == ticket_id)
    return query if organization_id is None else query.where(TICKET.c.organization_id == organization_id)


def change_ticket(transaction: Transaction, ticket_id: str, **values: Any) -> None:
    """Change a ticket that the transaction has locked."""
    plain = {name: str(value) if isinstance(value, State | Step) else value for name, value in values.items()}
    transaction.execute(
        sa.update(TICKET).where(TICKET.c.id == ticket_id).values(**plain, updated_at=transaction.now)
    )  # fmt: skip


def page_of_tickets(
    reader: Reader,
    filters: Mapping[str, Sequence[str] | None],
    limit: int,
    cursor: str | None,
    *,
    newest_first: bool = True,
) -> tuple[list[Ticket], str | None]:
    """A page of tickets that were not refused.

    Args:
        reader: where.
        filters: by column, the wanted values, or None for any.
        limit: tickets at most.
        cursor: of the page.
        newest_first: whether to begin with the newest.

    Raises:
        Refusal: `invalid_cursor`.
    """
    wanted = [TICKET.c[name].in_(values) for name, values in filters.items() if values is not None]
    query = sa.select(TICKET).where(TICKET.c.state != str(State.REFUSED), *wanted)
    rows, following = page(reader, query, TICKET.c.id, limit, cursor, newest_first=newest_first)
    return [_ticket(row) for row in rows], following


def claim_ticket(transaction: Transaction, longest_lease: timedelta, ticket_id: str | None = None) -> Ticket | None:
    """A ticket with a step under way whose lease has run out; that one, or the one that has waited longest.

    The row is locked until the transaction ends; other processes pass over it. A lease longer than any came from a
    clock that was wrong, and holds nobody.
    """
    query = (
        sa.select(TICKET)
        .where(
            TICKET.c.step.is_not(None),
            sa.or_(
                TICKET.c.next_attempt_at <= transaction.now,
                TICKET.c.next_attempt_at > transaction.now + longest_lease + CLOCKS_DIFFER,
            ),
        )
        .order_by(TICKET.c.next_attempt_at, TICKET.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return _found(transaction.one(query if ticket_id is None else query.where(TICKET.c.id == ticket_id)))


def lease_ticket(transaction: Transaction, ticket: Ticket, until: datetime) -> None:
    """Have nobody else go on with a step before `until`."""
    lease = sa.update(TICKET).where(TICKET.c.id == ticket.id)
    transaction.execute(lease.values(attempts=ticket.attempts + 1, next_attempt_at=until))


def time_entries(reader: Reader, ticket_id: str) -> Sequence[Row]:
    """All time worked on a ticket, oldest first."""
    return reader.all(sa.select(TIME_ENTRY).where(TIME_ENTRY.c.ticket_id == ticket_id).order_by(TIME_ENTRY.c.id))


def find_time_entry(reader: Reader, ticket_id: str, entry_id: str) -> Row | None:
    """A time entry of a ticket."""
    return reader.one(
        sa.select(TIME_ENTRY).where(TIME_ENTRY.c.ticket_id == ticket_id, TIME_ENTRY.c.id == entry_id)
    )  # fmt: skip


def is_reversed(reader: Reader, entry_id: str) -> bool:
    """Whether a time entry was taken back."""
    return reader.scalar(sa.select(TIME_ENTRY.c.id).where(TIME_ENTRY.c.reverses_id == entry_id)) is not None


def count_time_entries(reader: Reader, ticket_id: str) -> int:
    """How many time entries a ticket has."""
    return int(reader.scalar(sa.select(sa.func.count()).where(TIME_ENTRY.c.ticket_id == ticket_id)))


def asked_overrun(reader: Reader, ticket_id: str) -> Row | None:
    """The question for more credits that the customer has not answered."""
    return reader.one(
        sa.select(OVERRUN).where(OVERRUN.c.ticket_id == ticket_id, OVERRUN.c.state == str(OverrunState.ASKED))
    )  # fmt: skip


def read_overrun(reader: Reader, overrun_id: str) -> Row | None:
    """A question for more credits."""
    return reader.one(sa.select(OVERRUN).where(OVERRUN.c.id == overrun_id))


def asked_overruns(reader: Reader, ticket_ids: Sequence[str]) -> dict[str, Row]:
    """By ticket, the question that the customer has not answered."""
    asked = sa.select(OVERRUN).where(OVERRUN.c.ticket_id.in_(ticket_ids), OVERRUN.c.state == str(OverrunState.ASKED))
    return {row["ticket_id"]: row for row in reader.all(asked)}


def note_answer(transaction: Transaction, overrun_id: str, answered_by: str) -> None:
    """Note who has said yes to an overrun, before credits is asked."""
    transaction.execute(sa.update(OVERRUN).where(OVERRUN.c.id == overrun_id).values(answered_by=answered_by))


def end_overrun(
    transaction: Transaction, overrun_id: str, state: OverrunState, answered_by: str | None = None
) -> bool:  # fmt: skip
    """Note what became of a question that was still asked; whether it was."""
    asked = (OVERRUN.c.id == overrun_id, OVERRUN.c.state == str(OverrunState.ASKED))
    ended = sa.update(OVERRUN).where(*asked)
    return (
        transaction.execute(
            ended.values(state=str(state), ended_at=transaction.now, answered_by=answered_by)
        ).rowcount == 1
    )  # fmt: skip


def kept_answer(reader: Reader, scope: str | None, key: str | None) -> dict[str, Any] | None:
    """The answer that is kept under an Idempotency-Key; None if there is none (any more)."""
    is_it = (IDEMPOTENCY_KEY.c.scope == scope, IDEMPOTENCY_KEY.c.key == key)
    text = reader.scalar(sa.select(IDEMPOTENCY_KEY.c.answer).where(*is_it))
    return None if text is None else dict(json.loads(text))


def page_of_comments(
    reader: Reader, ticket_id: str, limit: int, cursor: str | None, *, with_internal: bool
) -> tuple[Sequence[Row], str | None]:
    """What was written about a ticket, oldest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    query = sa.select(COMMENT).where(COMMENT.c.ticket_id == ticket_id)
    if not with_internal:
        query = query.where(COMMENT.c.internal.is_(False))
    return page(reader, query, COMMENT.c.id, limit, cursor, newest_first=False)


def _found(row: Row | None) -> Ticket | None:
    return None if row is None else _ticket(row)


def _ticket(row: Row) -> Ticket:
    values = {name: row[name] for name in _COLUMNS}
    step = values["step"]
    return Ticket(**{**values, "state": State(values["state"]), "step": None if step is None else Step(step)})
