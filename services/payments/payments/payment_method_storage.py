"""Tables and queries of saved cards. The provider keeps the card; here is what it is called and what may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction, UtcDateTimeColumn
from chassis.persistence.throttle import failure_table
from payments.domain.payment_methods import MethodState
from payments.domain.states import State
from payments.storage import ATTEMPT, INTENT, METADATA

_STATES = ", ".join(f"'{state}'" for state in MethodState)
_DEFAULT = sa.text("is_default")
_SAVING = sa.text("state = 'saving'")

PAYMENT_METHOD = sa.Table(
    "payment_method",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("provider_token", sa.String(255)),  # one-time; forgotten once the provider has answered
    sa.Column("provider_card_id", sa.String(64), unique=True),
    sa.Column("brand", sa.String(20)),
    sa.Column("last4", sa.String(4)),
    sa.Column("exp_month", sa.Integer),
    sa.Column("exp_year", sa.Integer),
    sa.Column("idempotency_key", sa.String(255), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("next_check_at", UtcDateTimeColumn),  # set: the provider has not said yet whether it keeps the card
    sa.Column("removed_at", UtcDateTimeColumn),
    sa.Column("forgotten_at", UtcDateTimeColumn),  # set: removed, and the provider keeps it no longer
    sa.CheckConstraint(f"state IN ({_STATES})", name="payment_method_state"),
    sa.CheckConstraint(
        "(state IN ('saved', 'removed')) = (provider_card_id IS NOT NULL AND brand IS NOT NULL AND last4 IS NOT NULL"
        " AND exp_month IS NOT NULL AND exp_year IS NOT NULL)",
        name="payment_method_is_the_providers",
    ),
    sa.CheckConstraint("(state = 'saving') = (provider_token IS NOT NULL)", name="payment_method_token_is_not_kept"),
    sa.CheckConstraint("NOT is_default OR state = 'saved'", name="payment_method_default_is_saved"),
    sa.Index("payment_method_of_organization", "organization_id", "id"),
    sa.Index("payment_method_one_default", "organization_id", unique=True,
             sqlite_where=_DEFAULT, postgresql_where=_DEFAULT),
    sa.Index("payment_method_due", "next_check_at", sqlite_where=_SAVING, postgresql_where=_SAVING),
)  # fmt: skip

#: Declined cards of late, by who sent them.
FAILURE = failure_table(METADATA)


def add(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Keep the wish to save a card."""
    tx.insert(PAYMENT_METHOD, {**values, "state": MethodState.SAVING, "is_default": False, "created_at": tx.now})


def payer_of(reader: Reader, intent_id: str) -> Row:
    """For whom an intent is paid, and who ordered."""
    payer = reader.one(sa.select(INTENT.c.organization_id, INTENT.c.user_id).where(INTENT.c.id == intent_id))
    assert payer is not None, "an attempt has an intent"
    return payer


def count(reader: Reader, organization_id: str) -> int:
    """How many cards an organisation has saved or is saving."""
    held = PAYMENT_METHOD.c.state.in_([MethodState.SAVED, MethodState.SAVING])
    of_organization = PAYMENT_METHOD.c.organization_id == organization_id
    return int(reader.scalar(sa.select(sa.func.count()).select_from(PAYMENT_METHOD).where(of_organization, held)))


def listed(reader: Reader, organization_id: str) -> Sequence[Row]:
    """An organisation's saved cards, the default one first, then the newest."""
    return reader.all(
        sa.select(PAYMENT_METHOD)
        .where(PAYMENT_METHOD.c.organization_id == organization_id, PAYMENT_METHOD.c.state == MethodState.SAVED)
        .order_by(PAYMENT_METHOD.c.is_default.desc(), PAYMENT_METHOD.c.id.desc())
    )


def lock_all(tx: Transaction, organization_id: str) -> dict[str, Row]:
    """An organisation's saved cards by id, which nobody else changes until the transaction ends."""
    rows = tx.all(
        sa.select(PAYMENT_METHOD)
        .where(PAYMENT_METHOD.c.organization_id == organization_id, PAYMENT_METHOD.c.state == MethodState.SAVED)
        .order_by(PAYMENT_METHOD.c.id)
        .with_for_update()
    )
    return {row["id"]: row for row in rows}


def find(reader: Reader, method_id: str, organization_id: str | None = None) -> Row | None:
    """A card in any state; only that organisation's, unless it is None."""
    query = sa.select(PAYMENT_METHOD).where(PAYMENT_METHOD.c.id == method_id)
    return reader.one(
        query if organization_id is None else query.where(PAYMENT_METHOD.c.organization_id == organization_id)
    )


def lock(tx: Transaction, method_id: str) -> Row | None:
    """A card in any state, which nobody else changes until the transaction ends."""
    return tx.one(sa.select(PAYMENT_METHOD).where(PAYMENT_METHOD.c.id == method_id).with_for_update())


def change(tx: Transaction, method_id: str, **values: Any) -> None:
    """Change a locked card."""
    tx.execute(sa.update(PAYMENT_METHOD).where(PAYMENT_METHOD.c.id == method_id).values(**values))


def claim_due(tx: Transaction, lease: timedelta, method_id: str | None = None) -> Row | None:
    """A card (that one, or any) that is being saved and that nobody is asking the provider about, for `lease`."""
    due = (
        sa.select(PAYMENT_METHOD)
        .where(PAYMENT_METHOD.c.state == MethodState.SAVING, PAYMENT_METHOD.c.next_check_at <= tx.now)
        .order_by(PAYMENT_METHOD.c.next_check_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.one(due if method_id is None else due.where(PAYMENT_METHOD.c.id == method_id))
    if row is not None:
        change(tx, row["id"], next_check_at=tx.now + lease)
    return row


def to_forget(reader: Reader, most: int) -> Sequence[Row]:
    """Removed cards that the provider still keeps and that no payment under way needs."""
    needed = sa.exists().where(
        ATTEMPT.c.provider_token == PAYMENT_METHOD.c.provider_card_id, ATTEMPT.c.state == State.PROCESSING
    )
    waits = (PAYMENT_METHOD.c.state == MethodState.REMOVED, PAYMENT_METHOD.c.forgotten_at.is_(None))
    return reader.all(
        sa.select(PAYMENT_METHOD).where(*waits, ~needed).order_by(PAYMENT_METHOD.c.removed_at).limit(most)
    )
