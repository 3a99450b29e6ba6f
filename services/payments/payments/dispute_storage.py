"""Tables and queries of disputes: charges that the payer's bank takes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction, UtcDateTimeColumn
from chassis.persistence.paging import page
from kernel.ids import new_id
from payments.domain.provider import DisputedCharge, DisputeState
from payments.domain.states import State
from payments.storage import ATTEMPT, INTENT, METADATA

_STATES = ", ".join(f"'{state}'" for state in DisputeState)
_OPEN, _STRAY = sa.text("state = 'open'"), sa.text("intent_id IS NULL")

#: The intent is null while we do not know the charge: its capture is not recorded yet, or it is none of ours.
DISPUTE = sa.Table(
    "dispute",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("provider_dispute_id", sa.String(64), nullable=False, unique=True),
    sa.Column("provider_charge_id", sa.String(64), nullable=False),
    sa.Column("order_id", sa.String(255), nullable=False),  # the charge's reference at the provider
    sa.Column("intent_id", sa.String(64), sa.ForeignKey(INTENT.c.id)),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("opened_at", UtcDateTimeColumn, nullable=False),
    sa.Column("evidence_due_at", UtcDateTimeColumn, nullable=False),
    sa.Column("closed_at", UtcDateTimeColumn),
    sa.Column("evidence", sa.Text),  # the newest that the provider has taken
    sa.Column("evidence_sent_at", UtcDateTimeColumn),
    sa.Column("accepted_at", UtcDateTimeColumn),
    sa.CheckConstraint("amount_minor > 0", name="dispute_amount_positive"),
    sa.CheckConstraint(f"state IN ({_STATES})", name="dispute_state"),
    sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="dispute_closed_at"),
    sa.CheckConstraint("(evidence IS NULL) = (evidence_sent_at IS NULL)", name="dispute_evidence_sent_at"),
    sa.Index("dispute_intent", "intent_id"),
    sa.Index("dispute_order", "order_id"),
    sa.Index("dispute_open", "evidence_due_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    sa.Index("dispute_stray", "provider_charge_id", sqlite_where=_STRAY, postgresql_where=_STRAY),
)

#: How far the provider's lists of changes were read.
PROVIDER_CURSOR = sa.Table(
    "provider_cursor",
    METADATA,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("value", sa.String(255), nullable=False),
)
_CURSOR = "disputes"

#: A dispute with what was captured and for whom; those are null for one of no known charge.
_DISPUTES: sa.Select[Any] = sa.select(
    DISPUTE, INTENT.c.order_number, INTENT.c.organization_id, INTENT.c.amount_minor.label("captured_minor")
).outerjoin(INTENT, INTENT.c.id == DISPUTE.c.intent_id)


def cursor(reader: Reader) -> str | None:
    """Where to go on reading the provider's changes."""
    value: str | None = reader.scalar(sa.select(PROVIDER_CURSOR.c.value).where(PROVIDER_CURSOR.c.name == _CURSOR))
    return value


def move_cursor(tx: Transaction, value: str) -> None:
    """Go on there. Two who read at once may set it back: what is read twice changes nothing."""
    if not tx.insert_new(PROVIDER_CURSOR, {"name": _CURSOR, "value": value}):
        tx.execute(sa.update(PROVIDER_CURSOR).where(PROVIDER_CURSOR.c.name == _CURSOR).values(value=value))


def note(tx: Transaction, found: DisputedCharge) -> bool:
    """Keep a dispute as it is now.

    Returns:
        Whether it was closed by this: it was open, and is not any more.
    """
    tx.insert_new(
        DISPUTE,
        {
            "id": new_id("dsp"), "provider_dispute_id": found.dispute_id, "provider_charge_id": found.charge_id,
            "order_id": found.order_id, "amount_minor": found.amount.amount_minor, "currency": found.amount.currency,
            "reason": found.reason, "state": DisputeState.OPEN, "opened_at": found.opened_at,
            "evidence_due_at": found.evidence_due_at,
        },
    )  # fmt: skip
    if found.closed_at is None:
        return False
    closing = sa.update(DISPUTE).where(
        DISPUTE.c.provider_dispute_id == found.dispute_id, DISPUTE.c.state == DisputeState.OPEN
    )
    return tx.execute(closing.values(state=found.state, closed_at=found.closed_at)).rowcount == 1


def find_by_provider(reader: Reader, provider_dispute_id: str) -> Row | None:
    """A dispute by the provider's id."""
    return reader.one(_DISPUTES.where(DISPUTE.c.provider_dispute_id == provider_dispute_id))


def place(tx: Transaction) -> list[Row]:
    """Find the intents of those that have none, and the disputes that have one now; each is found once."""
    of_charge = sa.and_(ATTEMPT.c.provider_charge_id == DISPUTE.c.provider_charge_id, ATTEMPT.c.state == State.CAPTURED)
    known = (
        sa.select(DISPUTE.c.id, ATTEMPT.c.intent_id)
        .join(ATTEMPT, of_charge)
        .where(DISPUTE.c.intent_id.is_(None))
        .order_by(DISPUTE.c.id)
    )
    placed = []
    for row in tx.all(known):
        setting = sa.update(DISPUTE).where(DISPUTE.c.id == row["id"], DISPUTE.c.intent_id.is_(None))
        if tx.execute(setting.values(intent_id=row["intent_id"])).rowcount == 1:
            placed.append(row["id"])
    return list(tx.all(_DISPUTES.where(DISPUTE.c.id.in_(placed)).order_by(DISPUTE.c.id))) if placed else []


def find(reader: Reader, dispute_id: str) -> Row | None:
    """A dispute."""
    return reader.one(_DISPUTES.where(DISPUTE.c.id == dispute_id))


def note_answer(tx: Transaction, dispute_id: str, evidence: str | None) -> None:
    """The provider has our evidence; or, if there is none, that we accept."""
    said = {"accepted_at": tx.now} if evidence is None else {"evidence": evidence, "evidence_sent_at": tx.now}
    tx.execute(sa.update(DISPUTE).where(DISPUTE.c.id == dispute_id).values(**said))


def page_of_disputes(
    reader: Reader, state: str | None, order_id: str | None, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """One page of disputes, newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    query = _DISPUTES
    if state is not None:
        query = query.where(DISPUTE.c.state == state)
    if order_id is not None:
        query = query.where(DISPUTE.c.order_id == order_id)
    return page(reader, query, DISPUTE.c.id, limit, cursor)


def of_intents(reader: Reader, intent_ids: Sequence[str]) -> dict[str, Row]:
    """By intent, its newest dispute; for those that have one."""
    rows = reader.all(sa.select(DISPUTE).where(DISPUTE.c.intent_id.in_(intent_ids)).order_by(DISPUTE.c.id))
    return {row["intent_id"]: row for row in rows}


def how_many_are_open(reader: Reader) -> tuple[int, datetime | None]:
    """How many disputes wait for the network, and the first moment until which one hears evidence and has none.

    The network may take months over one that has its evidence, or whose time for any is over: nobody can do more then.
    """
    wants_evidence = sa.and_(DISPUTE.c.evidence_sent_at.is_(None), DISPUTE.c.evidence_due_at > reader.now)
    first_due = sa.func.min(sa.case((wants_evidence, DISPUTE.c.evidence_due_at)))
    row = reader.one(sa.select(sa.func.count(), first_due).where(DISPUTE.c.state == DisputeState.OPEN))
    assert row is not None, "a count is always there"
    count, first = row.values()
    return int(count), first
