"""Table and queries of stray captures: one for each attempt at most, so that it is given back once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Row, Transaction, UtcDateTimeColumn
from kernel.ids import new_id
from payments.domain.provider import Captured, Refunded
from payments.domain.states import State, check_delay
from payments.domain.strays import UNDER_WAY, StrayState
from payments.storage import ATTEMPT, INTENT, METADATA, is_due

_STATES = ", ".join(f"'{state}'" for state in StrayState)
_PURSUED = sa.text("next_check_at IS NOT NULL")

STRAY = sa.Table(
    "stray_capture",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),  # also the key of its refund in the provider's book
    sa.Column("attempt_id", sa.String(64), sa.ForeignKey(ATTEMPT.c.id), nullable=False, unique=True),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("checks", sa.Integer, nullable=False),
    sa.Column("next_check_at", UtcDateTimeColumn),
    sa.Column("provider_charge_id", sa.String(64), unique=True),
    sa.Column("amount_minor", sa.BigInteger),  # what the provider says it took, not what was asked for
    sa.Column("currency", sa.String(3)),
    sa.Column("provider_refund_id", sa.String(64), unique=True),
    sa.Column("failure_code", sa.String(64)),
    sa.Column("noted_at", UtcDateTimeColumn, nullable=False),
    sa.Column("ended_at", UtcDateTimeColumn),
    sa.CheckConstraint(f"state IN ({_STATES})", name="stray_capture_state"),
    sa.CheckConstraint(
        "(state IN ('suspected', 'returning')) = (next_check_at IS NOT NULL)", name="stray_capture_is_pursued"
    ),
    sa.CheckConstraint(
        "(state <> 'suspected') = (provider_charge_id IS NOT NULL AND amount_minor IS NOT NULL AND amount_minor > 0"
        " AND currency IS NOT NULL)",
        name="stray_capture_is_the_providers",
    ),
    sa.CheckConstraint(
        "(state = 'returned') = (provider_refund_id IS NOT NULL)", name="stray_capture_returned_is_proven"
    ),
    sa.CheckConstraint("(state = 'refused') = (failure_code IS NOT NULL)", name="stray_capture_refused_has_cause"),
    sa.Index("stray_capture_due", "next_check_at", sqlite_where=_PURSUED, postgresql_where=_PURSUED),
)

_WITH_ORDER: sa.Select[Any] = (
    sa.select(
        STRAY, ATTEMPT.c.provider_key, INTENT.c.id.label("intent_id"), INTENT.c.order_id, INTENT.c.organization_id
    )
    .join(ATTEMPT, ATTEMPT.c.id == STRAY.c.attempt_id)
    .join(INTENT, INTENT.c.id == ATTEMPT.c.intent_id)
)


def suspect(tx: Transaction, key: str) -> bool:
    """Have the provider asked whether it took money under the key of an attempt that has ended without; whether there
    is such an attempt, and nobody has said so before.
    """
    over = sa.select(ATTEMPT.c.id).where(
        ATTEMPT.c.provider_key == key, ATTEMPT.c.state.in_([State.VOIDED, State.FAILED])
    )  # fmt: skip
    attempt_id = tx.scalar(over)
    if attempt_id is None:
        return False
    values = {
        "id": new_id("srp"), "attempt_id": attempt_id, "state": StrayState.SUSPECTED, "checks": 0,
        "next_check_at": tx.now, "noted_at": tx.now,
    }  # fmt: skip
    return tx.insert_new(STRAY, values)


def strays_of_intent() -> list[sa.ColumnElement[int]]:
    """Of an intent: `strays` that were found, `strays_returned`, and `strays_returned_minor`, the sum of those."""
    of_intent = sa.select(sa.func.count()).where(STRAY.c.attempt_id == ATTEMPT.c.id, ATTEMPT.c.intent_id == INTENT.c.id)
    returned = STRAY.c.state == StrayState.RETURNED
    total = of_intent.with_only_columns(sa.cast(sa.func.coalesce(sa.func.sum(STRAY.c.amount_minor), 0), sa.BigInteger))
    return [
        of_intent.where(STRAY.c.state != StrayState.SUSPECTED).scalar_subquery().label("strays"),
        of_intent.where(returned).scalar_subquery().label("strays_returned"),
        total.where(returned).scalar_subquery().label("strays_returned_minor"),
    ]


def has_stray(provider_id: str) -> sa.ColumnElement[bool]:
    """Whether an intent has one that the provider calls so, or its refund."""
    return sa.exists().where(
        STRAY.c.attempt_id == ATTEMPT.c.id, ATTEMPT.c.intent_id == INTENT.c.id,
        sa.or_(STRAY.c.provider_charge_id == provider_id, STRAY.c.provider_refund_id == provider_id),
    )  # fmt: skip


def claim_due(tx: Transaction, lease: timedelta) -> Row | None:
    """The one that has been due for longest and that nobody is at, for `lease`, with its order."""
    due = (
        _WITH_ORDER.where(STRAY.c.state.in_(UNDER_WAY), is_due(STRAY.c.next_check_at, tx.now, lease))
        .order_by(STRAY.c.next_check_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=STRAY)
    )
    row = tx.one(due)
    if row is not None:
        _change(tx, row["id"], row["state"], next_check_at=tx.now + lease, checks=row["checks"] + 1)
    return row


def forget(tx: Transaction, stray_id: str) -> None:
    """It was none. It may be suspected again."""
    tx.execute(sa.delete(STRAY).where(STRAY.c.id == stray_id, STRAY.c.state == StrayState.SUSPECTED))


def mark_found(tx: Transaction, stray_id: str, captured: Captured) -> bool:
    """The provider has the money; False if that was noted before."""
    return _change(
        tx, stray_id, StrayState.SUSPECTED, state=StrayState.RETURNING, next_check_at=tx.now,
        provider_charge_id=captured.charge_id, **captured.amount.as_dict(),
    )  # fmt: skip


def mark_returned(tx: Transaction, stray_id: str, refunded: Refunded) -> bool:
    """The money is given back; False if that was noted before."""
    return _end(tx, stray_id, StrayState.RETURNED, provider_refund_id=refunded.refund_id)


def mark_refused(tx: Transaction, stray_id: str, code: str) -> bool:
    """The provider will not give it back; False if that was noted before."""
    return _end(tx, stray_id, StrayState.REFUSED, failure_code=code)


def check_later(tx: Transaction, stray: Row, at_least_s: float) -> None:
    """Have the provider asked again after a delay that grows with each check, and not before it wants to be."""
    _change(tx, stray["id"], stray["state"], next_check_at=tx.now + check_delay(stray["checks"], at_least_s))


def _end(tx: Transaction, stray_id: str, state: StrayState, **values: Any) -> bool:
    return _change(
        tx, stray_id, StrayState.RETURNING, state=state, next_check_at=None, ended_at=tx.now, **values
    )  # fmt: skip


def _change(tx: Transaction, stray_id: str, stands: str, **values: Any) -> bool:
    statement = sa.update(STRAY).where(STRAY.c.id == stray_id, STRAY.c.state == stands)
    return tx.execute(statement.values(**values)).rowcount == 1
