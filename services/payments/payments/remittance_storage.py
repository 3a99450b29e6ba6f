"""Tables and queries of money that comes by wire or check: instructions, receipts, and what had nothing to pay for.

The intent's row is the lock: whoever records money, ends, changes or completes such an intent holds it first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction, UtcDateTimeColumn
from chassis.persistence.paging import page
from payments.dispute_storage import DISPUTE
from payments.domain.remittances import Reason
from payments.domain.states import ENTERED_FROM, RefundState, State
from payments.domain.strays import REASON as STRAY_REASON
from payments.domain.strays import StrayState
from payments.storage import ATTEMPT, INTENT, METADATA, REFUND, sum_of_refunds
from payments.stray_storage import STRAY, has_stray, strays_of_intent

_COMPLETES = sa.text("completes")
_SENT = sa.text("state = 'paid'")
_REASONS = ", ".join(f"'{reason}'" for reason in Reason)

INSTRUCTIONS = sa.Table(
    "payment_instructions",
    METADATA,
    sa.Column("intent_id", sa.String(64), sa.ForeignKey(INTENT.c.id), primary_key=True),
    sa.Column("method", sa.String(10), nullable=False),
    sa.Column("reference", sa.String(25), nullable=False, unique=True),
    sa.Column("issue", sa.Integer, nullable=False),  # 1, and one more with each change of the method
    sa.Column("issued_at", UtcDateTimeColumn, nullable=False),
    sa.Column("due_on", sa.Date, nullable=False),
    sa.Column("expires_at", UtcDateTimeColumn, nullable=False),
    sa.Column("next_step_at", UtcDateTimeColumn),  # a reminder or the end; None once nothing is awaited
    sa.Column("reminders", sa.Integer, nullable=False),
    sa.Column("overdue_at", UtcDateTimeColumn),  # set: the money did not come in time
    # whom the mails go to
    sa.Column("organization_name", sa.String(200), nullable=False),
    sa.Column("buyer_email", sa.String(320), nullable=False),
    sa.Column("buyer_name", sa.String(200), nullable=False),
    sa.Column("buyer_language", sa.String(20), nullable=False),
    sa.CheckConstraint("method IN ('wire', 'check')", name="payment_instructions_method"),
    sa.Index("payment_instructions_next_step", "next_step_at"),
)

RECEIPT = sa.Table(
    "payment_receipt",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("intent_id", sa.String(64), sa.ForeignKey(INTENT.c.id), nullable=False),
    sa.Column("method", sa.String(10), nullable=False),
    sa.Column("bank_reference", sa.String(64), nullable=False),
    sa.Column("bank_key", sa.String(200), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("received_on", sa.Date, nullable=False),
    sa.Column("completes", sa.Boolean, nullable=False),
    sa.Column("recorded_by", sa.String(64), nullable=False),
    sa.Column("recorded_at", UtcDateTimeColumn, nullable=False),
    # The natural key: one movement on the bank's statement is one receipt, whoever records it how often.
    sa.UniqueConstraint("method", "bank_key", name="payment_receipt_bank_reference"),
    sa.CheckConstraint("method IN ('wire', 'check')", name="payment_receipt_method"),
    sa.CheckConstraint("amount_minor > 0", name="payment_receipt_amount_positive"),
    sa.Index("payment_receipt_intent", "intent_id"),
    sa.Index("payment_receipt_one_completes", "intent_id", unique=True,
             sqlite_where=_COMPLETES, postgresql_where=_COMPLETES),
)  # fmt: skip

SURPLUS = sa.Table(
    "payment_surplus",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("receipt_id", sa.String(64), sa.ForeignKey(RECEIPT.c.id), nullable=False, unique=True),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("reason", sa.String(20), nullable=False),
    sa.Column("noted_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="payment_surplus_amount_positive"),
    sa.CheckConstraint(f"reason IN ({_REASONS})", name="payment_surplus_reason"),
)

PAYOUT = sa.Table(
    "payout",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),  # the refund's, or the surplus'
    sa.Column("intent_id", sa.String(64), sa.ForeignKey(INTENT.c.id), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(400), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("bank_reference", sa.String(64)),
    sa.Column("bank_key", sa.String(200)),
    sa.Column("paid_on", sa.Date),
    sa.Column("recorded_by", sa.String(64)),
    sa.Column("recorded_at", UtcDateTimeColumn),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="payout_amount_positive"),
    sa.CheckConstraint("kind IN ('refund', 'surplus')", name="payout_kind"),
    sa.CheckConstraint("state IN ('waiting', 'paid')", name="payout_state"),
    sa.CheckConstraint(
        "(state = 'paid') = (bank_reference IS NOT NULL AND bank_key IS NOT NULL AND paid_on IS NOT NULL"
        " AND recorded_by IS NOT NULL AND recorded_at IS NOT NULL)",
        name="payout_paid_is_proven",
    ),
    sa.Index("payout_intent", "intent_id"),
    # one movement on the bank's statement is one payout, whoever records it how often
    sa.Index("payout_bank_reference", "bank_key", unique=True, sqlite_where=_SENT, postgresql_where=_SENT),
)

#: What became of a surplus: each is settled once.
SURPLUS_SETTLEMENT = sa.Table(
    "surplus_settlement",
    METADATA,
    sa.Column("surplus_id", sa.String(64), sa.ForeignKey(SURPLUS.c.id), primary_key=True),
    sa.Column("how", sa.String(10), nullable=False),
    sa.Column("order_id", sa.String(64)),  # that it was used for
    sa.Column("settled_by", sa.String(64), nullable=False),
    sa.Column("settled_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint("how IN ('returned', 'used')", name="surplus_settlement_how"),
    sa.CheckConstraint("(how = 'used') = (order_id IS NOT NULL)", name="surplus_settlement_order"),
)

_INTENT_COLUMNS = [
    INTENT.c[name]
    for name in (
        "id",
        "order_id",
        "order_number",
        "organization_id",
        "user_id",
        "amount_minor",
        "currency",
        "state",
        "round",
    )
]
_INSTRUCTION_COLUMNS = [column for column in INSTRUCTIONS.c if column.name not in ("intent_id", "method")]


def awaited() -> sa.Select[Any]:
    """Intents with their instructions; `method` is the one that the instructions are for."""
    return (
        sa.select(*_INTENT_COLUMNS, INTENT.c.method.label("pays_by"), INSTRUCTIONS.c.method, *_INSTRUCTION_COLUMNS)
        .select_from(INTENT)
        .join(INSTRUCTIONS, INSTRUCTIONS.c.intent_id == INTENT.c.id)
    )


def find_instructions(reader: Reader, order_id: str) -> Row | None:
    """An order's intent with its instructions; None if it has none."""
    return reader.one(awaited().where(INTENT.c.order_id == order_id))


def lock_intent(tx: Transaction, order_id: str) -> Row | None:
    """An order's intent, which nobody else records money for, ends or changes until the transaction ends."""
    return tx.one(sa.select(*_INTENT_COLUMNS, INTENT.c.method).where(INTENT.c.order_id == order_id).with_for_update())


def order_of(reader: Reader, reference: str) -> str | None:
    """The order whose payment has a reference."""
    order_id: str | None = reader.scalar(
        sa.select(INTENT.c.order_id)
        .join(INSTRUCTIONS, INSTRUCTIONS.c.intent_id == INTENT.c.id)
        .where(INSTRUCTIONS.c.reference == reference)
    )
    return order_id


def add_instructions(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Keep what a payer was told, for a new intent."""
    tx.execute(sa.insert(INSTRUCTIONS).values(**values, issue=1, reminders=0))


def issue_again(tx: Transaction, intent_id: str, values: Mapping[str, Any]) -> None:
    """Replace the instructions of a locked intent, whose method changes with them; the reference stays."""
    tx.execute(
        sa.update(INSTRUCTIONS)
        .where(INSTRUCTIONS.c.intent_id == intent_id)
        .values(**values, issue=INSTRUCTIONS.c.issue + 1, reminders=0)
    )
    tx.execute(sa.update(INTENT).where(INTENT.c.id == intent_id).values(method=values["method"], updated_at=tx.now))


def turn_to_card(tx: Transaction, intent_id: str) -> None:
    """Have a locked intent that waits for money be paid by card instead."""
    tx.execute(
        sa.update(INTENT)
        .where(INTENT.c.id == intent_id, INTENT.c.state.in_(sorted(ENTERED_FROM[State.PROCESSING])))
        .values(state=State.PROCESSING, method="card", updated_at=tx.now)
    )


def turn_to_remittance(tx: Transaction, intent_id: str, method: str) -> None:
    """Have a locked intent whose card was given up wait for money instead."""
    tx.execute(
        sa.update(INTENT)
        .where(INTENT.c.id == intent_id, INTENT.c.state == State.PROCESSING)
        .values(state=State.REQUIRES_ACTION, method=method, updated_at=tx.now)
    )


def enter_round(tx: Transaction, intent_id: str, round: int) -> None:
    """Note on a locked intent which change of the payer's mind it follows; earlier ones that come late change nothing
    any more.
    """
    tx.execute(sa.update(INTENT).where(INTENT.c.id == intent_id).values(round=round))


def has_instructions(reader: Reader, intent_id: str) -> bool:
    """Whether an intent was to be paid by wire or check at some time."""
    return reader.scalar(sa.select(INSTRUCTIONS.c.intent_id).where(INSTRUCTIONS.c.intent_id == intent_id)) is not None


def await_again(tx: Transaction, intent_id: str) -> None:
    """Have an intent whose card attempt has failed wait for a wire or check as before."""
    method = sa.select(INSTRUCTIONS.c.method).where(INSTRUCTIONS.c.intent_id == intent_id).scalar_subquery()
    tx.execute(
        sa.update(INTENT)
        .where(INTENT.c.id == intent_id, INTENT.c.state == State.PROCESSING)
        .values(state=State.REQUIRES_ACTION, method=method, updated_at=tx.now)
    )


def claim_next_step(tx: Transaction) -> Row | None:
    """The intent that has waited longest for its reminder or its end, locked; other processes pass over it."""
    return tx.one(
        awaited()
        .where(INTENT.c.state == State.REQUIRES_ACTION, INSTRUCTIONS.c.next_step_at <= tx.now)
        .order_by(INSTRUCTIONS.c.next_step_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=INTENT)
    )


def note_reminder(tx: Transaction, intent_id: str, next_step_at: datetime) -> int:
    """Count a reminder of a locked intent; which one it is."""
    tx.execute(
        sa.update(INSTRUCTIONS)
        .where(INSTRUCTIONS.c.intent_id == intent_id)
        .values(reminders=INSTRUCTIONS.c.reminders + 1, next_step_at=next_step_at)
    )
    number: int = tx.scalar(sa.select(INSTRUCTIONS.c.reminders).where(INSTRUCTIONS.c.intent_id == intent_id))
    return number


def end(tx: Transaction, intent_id: str, state: State, *, overdue: bool = False) -> bool:
    """Bring a locked intent that waits for money to its end, and have nobody be reminded any more.

    Returns:
        Whether it may be ended so; if not, nothing was changed.
    """
    ended = tx.execute(
        sa.update(INTENT)
        .where(INTENT.c.id == intent_id, INTENT.c.state.in_(sorted(ENTERED_FROM[state])))
        .values(state=state, updated_at=tx.now)
    )
    if not ended.rowcount:
        return False
    values = {"next_step_at": None, **({"overdue_at": tx.now} if overdue else {})}
    tx.execute(sa.update(INSTRUCTIONS).where(INSTRUCTIONS.c.intent_id == intent_id).values(**values))
    return True


def received_minor(reader: Reader, intent_id: str) -> int:
    """The sum of an intent's receipts."""
    total = sa.select(sa.func.coalesce(sa.func.sum(RECEIPT.c.amount_minor), 0)).where(RECEIPT.c.intent_id == intent_id)
    return int(reader.scalar(total))


def add_receipt(tx: Transaction, values: Mapping[str, Any]) -> bool:
    """Keep a receipt; False if the same money was recorded before. Waits for somebody who is recording it just now."""
    return tx.insert_new(RECEIPT, values)


def find_receipt(reader: Reader, method: str, bank_key: str) -> Row | None:
    """A receipt by its natural key, with the order it was recorded for."""
    return reader.one(
        sa.select(RECEIPT, INTENT.c.order_id, INTENT.c.order_number)
        .join(INTENT, INTENT.c.id == RECEIPT.c.intent_id)
        .where(RECEIPT.c.method == method, RECEIPT.c.bank_key == bank_key)
    )


def add_surplus(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Keep money that has nothing to pay for, for a person to look at."""
    tx.execute(sa.insert(SURPLUS).values(**values, noted_at=tx.now))


def receipts_without_surplus(tx: Transaction, intent_id: str) -> Sequence[Row]:
    """The receipts of a locked intent that have not been set aside."""
    return tx.all(
        sa.select(RECEIPT)
        .outerjoin(SURPLUS, SURPLUS.c.receipt_id == RECEIPT.c.id)
        .where(RECEIPT.c.intent_id == intent_id, SURPLUS.c.id.is_(None))
        .order_by(RECEIPT.c.id)
    )


def page_of_surplus(
    reader: Reader, reason: str | None, order_id: str | None, settled: bool | None, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """One page of money that had nothing to pay for, newest first; settled or not, or all of it: surplus with its
    receipt, and stray captures with what stands in the provider's book.

    Raises:
        Refusal: `invalid_cursor`.
    """
    of_receipt = [RECEIPT.c[name] for name in ("method", "bank_reference", "received_on", "recorded_by", "recorded_at")]
    intent = [INTENT.c[name] for name in ("order_id", "order_number", "organization_id")]
    received = (
        sa.select(
            SURPLUS, RECEIPT.c.amount_minor.label("received_minor"), SURPLUS_SETTLEMENT.c.how, *of_receipt, *intent,
            *(sa.cast(sa.null(), STRAY.c[name].type).label(name) for name in ("state", "provider_charge_id")),
        )
        .join(RECEIPT, RECEIPT.c.id == SURPLUS.c.receipt_id)
        .join(INTENT, INTENT.c.id == RECEIPT.c.intent_id)
        .outerjoin(SURPLUS_SETTLEMENT, SURPLUS_SETTLEMENT.c.surplus_id == SURPLUS.c.id)
    )  # fmt: skip
    from_stray: dict[str, sa.ColumnElement[Any]] = {
        **{column.name: column for column in (*STRAY.c, *intent)},
        "reason": sa.literal(STRAY_REASON),
        "how": sa.case((STRAY.c.state == StrayState.RETURNED, "returned")),
    }
    strays = (
        sa.select(
            *(
                from_stray.get(column.name, sa.cast(sa.null(), column.type)).label(column.name)
                for column in received.selected_columns
            )
        )
        .select_from(STRAY)
        .join(ATTEMPT, ATTEMPT.c.id == STRAY.c.attempt_id)
        .join(INTENT, INTENT.c.id == ATTEMPT.c.intent_id)
        .where(STRAY.c.state != StrayState.SUSPECTED)
    )
    listed = sa.union_all(received, strays).subquery("listed")
    query = sa.select(listed)
    if settled is not None:
        query = query.where(listed.c.how.is_not(None) if settled else listed.c.how.is_(None))
    if reason is not None:
        query = query.where(listed.c.reason == reason)
    if order_id is not None:
        query = query.where(listed.c.order_id == order_id)
    return page(reader, query, listed.c.id, limit, cursor)


def page_of_intents(reader: Reader, limit: int, cursor: str | None) -> tuple[Sequence[Row], str | None]:
    """One page of all intents, newest first, with what came of each: captured attempts, receipts that completed it,
    the sum of its receipts, what of that was set aside, what was given back, and its stray captures.

    Raises:
        Refusal: `invalid_cursor`.
    """
    captures = sa.select(sa.func.count()).where(ATTEMPT.c.intent_id == INTENT.c.id, ATTEMPT.c.state == State.CAPTURED)
    completions = sa.select(sa.func.count()).where(RECEIPT.c.intent_id == INTENT.c.id, RECEIPT.c.completes)
    received = sa.select(sa.func.coalesce(sa.func.sum(RECEIPT.c.amount_minor), 0)).where(
        RECEIPT.c.intent_id == INTENT.c.id
    )
    surplus = (
        sa.select(sa.func.coalesce(sa.func.sum(SURPLUS.c.amount_minor), 0))
        .join(RECEIPT, RECEIPT.c.id == SURPLUS.c.receipt_id)
        .where(RECEIPT.c.intent_id == INTENT.c.id)
    )
    sent = sa.select(sa.func.coalesce(sa.func.sum(PAYOUT.c.amount_minor), 0)).where(
        PAYOUT.c.intent_id == INTENT.c.id, PAYOUT.c.kind == "refund", PAYOUT.c.state == "paid"
    )
    query = sa.select(
        INTENT,
        sent.scalar_subquery().label("sent_back"),
        captures.scalar_subquery().label("captures"),
        completions.scalar_subquery().label("completions"),
        received.scalar_subquery().label("received"),
        surplus.scalar_subquery().label("surplus"),
        sum_of_refunds(RefundState.SUCCEEDED),
        *strays_of_intent(),
    )
    return page(reader, query, INTENT.c.id, limit, cursor)


def find_orders(
    reader: Reader,
    limit: int,
    *,
    last4: str | None,
    provider_id: str | None,
    reference: str | None,
    bank_key: str | None,
) -> list[str]:
    """The orders whose payment has all of what is not None, newest first."""
    query = sa.select(INTENT.c.order_id)
    if last4 is not None:
        query = query.where(_has(ATTEMPT, ATTEMPT.c.card_last4 == last4))
    if provider_id is not None:
        at_provider = (
            _has(ATTEMPT, ATTEMPT.c.provider_charge_id == provider_id),
            _has(REFUND, REFUND.c.provider_refund_id == provider_id),
            _has(DISPUTE, DISPUTE.c.provider_dispute_id == provider_id),
            has_stray(provider_id),
        )
        query = query.where(sa.or_(*at_provider))
    if reference is not None:
        query = query.where(_has(INSTRUCTIONS, INSTRUCTIONS.c.reference == reference))
    if bank_key is not None:
        query = query.where(_has(RECEIPT, RECEIPT.c.bank_key == bank_key))
    return [row["order_id"] for row in reader.all(query.order_by(INTENT.c.id.desc()).limit(limit))]


def _has(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(table.c.intent_id == INTENT.c.id, condition)
