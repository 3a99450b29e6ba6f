"""Tables and queries of payments. It only stores: what a state means is the domain's."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from chassis.persistence import (
    IntegrityError,
    Reader,
    Row,
    Statement,
    Transaction,
    UtcDateTimeColumn,
    add_messaging_tables,
)
from chassis.persistence.statements import one_of, violates
from kernel.clock import CLOCKS_DIFFER
from kernel.money import Money
from payments.domain.provider import LONGEST_PAUSE_S, Attempt, Captured, Refund, Refunded, RequiresAction
from payments.domain.states import ENTERED_FROM, RefundState, State, check_delay

METADATA = sa.MetaData()
add_messaging_tables(METADATA)

_STATES = ", ".join(f"'{state}'" for state in State)
_LIVE_OR_CAPTURED = sa.text("state IN ('requires_action', 'processing', 'captured')")
_PROCESSING = sa.text("state = 'processing'")

INTENT = sa.Table(
    "payment_intent",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), nullable=False, unique=True),
    sa.Column("order_number", sa.String(64), nullable=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("method", sa.String(10), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("round", sa.Integer, nullable=False, server_default="0"),  # of the newest change of the payer's mind
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="payment_intent_amount_positive"),
    sa.CheckConstraint(f"state IN ({_STATES})", name="payment_intent_state"),
)

ATTEMPT = sa.Table(
    "payment_attempt",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("intent_id", sa.String(64), sa.ForeignKey(INTENT.c.id), nullable=False),
    sa.Column("provider_key", sa.String(64), nullable=False, unique=True),
    sa.Column("provider_token", sa.String(255)),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("checks", sa.Integer, nullable=False),
    sa.Column("next_check_at", UtcDateTimeColumn),
    sa.Column("provider_charge_id", sa.String(64), unique=True),
    sa.Column("card_brand", sa.String(20)),
    sa.Column("card_last4", sa.String(4)),
    sa.Column("captured_at", UtcDateTimeColumn),
    sa.Column("decline_code", sa.String(64)),
    sa.Column("void_requested_at", UtcDateTimeColumn),  # set: it is being given up, and never charged again
    sa.Column("replaced_at", UtcDateTimeColumn),  # set: it is, so that its intent is paid in another way
    sa.Column("round", sa.Integer, nullable=False, server_default="0"),  # the intent's, when it was begun
    sa.Column("action_url", sa.String(2048)),  # set: the provider waits for the payer's confirmation there
    sa.Column("action_expires_at", UtcDateTimeColumn),
    sa.Column("save_card", sa.Boolean, nullable=False, server_default=sa.false()),  # once it is charged
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint(f"state IN ({_STATES})", name="payment_attempt_state"),
    sa.CheckConstraint(
        "state <> 'processing' OR (provider_token IS NOT NULL AND next_check_at IS NOT NULL)",
        name="payment_attempt_processing_is_pursued",
    ),
    sa.CheckConstraint(
        "state <> 'captured' OR (provider_charge_id IS NOT NULL AND card_brand IS NOT NULL"
        " AND card_last4 IS NOT NULL AND captured_at IS NOT NULL)",
        name="payment_attempt_captured_is_proven",
    ),
    sa.CheckConstraint("state <> 'failed' OR decline_code IS NOT NULL", name="payment_attempt_failed_has_cause"),
    # One attempt of an intent is under way or captured, never two, and none is begun after a capture.
    sa.Index("payment_attempt_one_live_or_captured", "intent_id", unique=True,
             sqlite_where=_LIVE_OR_CAPTURED, postgresql_where=_LIVE_OR_CAPTURED),
    sa.Index("payment_attempt_intent", "intent_id"),
    sa.Index("payment_attempt_due", "next_check_at", sqlite_where=_PROCESSING, postgresql_where=_PROCESSING),
)  # fmt: skip

REFUND = sa.Table(
    "refund",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("intent_id", sa.String(64), sa.ForeignKey(INTENT.c.id), nullable=False),
    sa.Column("provider_charge_id", sa.String(64), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(400), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("checks", sa.Integer, nullable=False),
    sa.Column("next_check_at", UtcDateTimeColumn),
    sa.Column("provider_refund_id", sa.String(64), unique=True),
    sa.Column("refunded_at", UtcDateTimeColumn),
    sa.Column("failure_code", sa.String(64)),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="refund_amount_positive"),
    sa.CheckConstraint("state IN ('processing', 'succeeded', 'failed')", name="refund_state"),
    sa.CheckConstraint("(state = 'processing') = (next_check_at IS NOT NULL)", name="refund_processing_is_pursued"),
    sa.CheckConstraint(
        "(state = 'succeeded') = (provider_refund_id IS NOT NULL AND refunded_at IS NOT NULL)",
        name="refund_succeeded_is_proven",
    ),
    sa.CheckConstraint("(state = 'failed') = (failure_code IS NOT NULL)", name="refund_failed_has_cause"),
    sa.Index("refund_intent", "intent_id"),
    sa.Index("refund_due", "next_check_at", sqlite_where=_PROCESSING, postgresql_where=_PROCESSING),
)  # fmt: skip


def sum_of_refunds(*states: RefundState) -> sa.ColumnElement[int]:
    """Of an intent; PostgreSQL sums 64-bit integers as NUMERIC."""
    of_intent = sa.select(sa.func.sum(REFUND.c.amount_minor)).where(
        REFUND.c.intent_id == INTENT.c.id, REFUND.c.state.in_(states)
    )
    return sa.cast(sa.func.coalesce(of_intent.scalar_subquery(), 0), sa.BigInteger).label("refunded_minor")


#: Ids of the provider's webhooks that have come: the same news twice is no news.
WEBHOOK_EVENT = sa.Table(
    "webhook_event",
    METADATA,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("received_at", UtcDateTimeColumn, nullable=False),
    sa.Index("webhook_event_received_at", "received_at"),
)


_FIND_INTENT = Statement(
    sa.select(
        INTENT, ATTEMPT.c.decline_code, ATTEMPT.c.card_brand, ATTEMPT.c.card_last4, ATTEMPT.c.action_url,
        ATTEMPT.c.action_expires_at,
    )
    .outerjoin(ATTEMPT, ATTEMPT.c.intent_id == INTENT.c.id)
    .where(INTENT.c.order_id == sa.bindparam("order_id"))
    .order_by(ATTEMPT.c.round.desc(), ATTEMPT.c.created_at.desc(), ATTEMPT.c.id.desc())
    .limit(1)
)  # fmt: skip


def add_intent(tx: Transaction, values: dict[str, Any], state: State = State.PROCESSING) -> bool:
    """Store a new intent; False if its order has one already."""
    return tx.insert_new(INTENT, {**values, "state": state, "created_at": tx.now, "updated_at": tx.now})


def begin_intent(tx: Transaction, values: dict[str, Any]) -> None:
    """Store a new intent in state `processing`.

    Raises:
        IntegrityError: its order has one already (with the next statement or the commit).
    """
    tx.insert(INTENT, {**values, "state": State.PROCESSING, "created_at": tx.now, "updated_at": tx.now})


def has_intent(error: IntegrityError) -> bool:
    """Whether an intent could not be stored because its order has one."""
    return violates(error, "payment_intent_order_id_key", "payment_intent.order_id")


def add_attempt(tx: Transaction, attempt: Attempt, lease: timedelta, round: int = 0) -> None:
    """Store a new attempt in state `processing`, which belongs to the caller for `lease`."""
    tx.insert(
        ATTEMPT,
        {
            "id": attempt.id,
            "intent_id": attempt.intent_id,
            "provider_key": attempt.key,
            "provider_token": attempt.token,
            "state": State.PROCESSING,
            "checks": attempt.checks,
            "next_check_at": tx.now + lease,
            "round": round,
            "save_card": attempt.save,
            "created_at": tx.now,
            "updated_at": tx.now,
        },
    )


def has_attempt(reader: Reader, attempt_id: str) -> bool:
    """Whether there is such an attempt."""
    return reader.scalar(sa.select(ATTEMPT.c.id).where(ATTEMPT.c.id == attempt_id)) is not None


def has_live_attempt(reader: Reader, intent_id: str) -> bool:
    """Whether an attempt of an intent is under way."""
    live = sa.select(ATTEMPT.c.id).where(ATTEMPT.c.intent_id == intent_id, ATTEMPT.c.state == State.PROCESSING)
    return reader.scalar(live) is not None


def find_intent(reader: Reader, order_id: str) -> Row | None:
    """An order's intent with what is known from its newest attempt, if it has one: its decline code, its card, and
    where the payer must confirm it.
    """
    return reader.one(_FIND_INTENT, order_id=order_id)


def is_due(next_check_at: sa.ColumnElement[datetime], now: datetime, lease: timedelta) -> sa.ColumnElement[bool]:
    """Whether the time of the next check has come; or is later than anybody waits: then the clock that it is from was
    wrong, and it holds nobody.
    """
    longest = max(lease, timedelta(seconds=LONGEST_PAUSE_S)) + CLOCKS_DIFFER
    return sa.or_(next_check_at <= now, next_check_at > now + longest)


def claim_due_attempt(tx: Transaction, lease: timedelta, order_id: str | None = None) -> Attempt | None:
    """Take the attempt that has been due for longest, for `lease`; None if nobody else's and due is none.

    Args:
        tx: where the claim is written; commit before asking the provider.
        lease: until then nobody else takes it.
        order_id: only this order's; then one that waits for its payer is due at any time, since nobody is asking.
    """
    waits_for_payer = () if order_id is None else (ATTEMPT.c.action_url.is_not(None),)
    due = (
        _attempts_under_way()
        .where(sa.or_(*waits_for_payer, is_due(ATTEMPT.c.next_check_at, tx.now, lease)))
        .order_by(ATTEMPT.c.next_check_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=ATTEMPT)
    )
    row = tx.one(due if order_id is None else due.where(INTENT.c.order_id == order_id))
    return None if row is None else _claimed(tx, row, lease, row["void_requested_at"])


def claim_to_void(tx: Transaction, order_id: str, lease: timedelta) -> Attempt | None:
    """Have the order's attempt given up, and take it for `lease`; None if none is under way.

    Whoever else is asking the provider about it goes on: the provider takes one of the two for the first.
    """
    row = tx.one(_attempts_under_way().where(INTENT.c.order_id == order_id).with_for_update(of=ATTEMPT))
    return None if row is None else _claimed(tx, row, lease, row["void_requested_at"] or tx.now, replaced_at=None)


def claim_to_replace(tx: Transaction, order_id: str, round: int, lease: timedelta) -> Attempt | None:
    """The same, so that the order can be paid in another way; None if none of an earlier round is under way.

    One that is given up for good already stays so.
    """
    may_be = sa.or_(ATTEMPT.c.void_requested_at.is_(None), ATTEMPT.c.replaced_at.is_not(None))
    earlier = _attempts_under_way().where(INTENT.c.order_id == order_id, ATTEMPT.c.round < round, may_be)
    row = tx.one(earlier.with_for_update(of=ATTEMPT))
    if row is None:
        return None
    wished_at = row["void_requested_at"] or tx.now
    return _claimed(tx, row, lease, wished_at, replaced_at=row["replaced_at"] or tx.now)


def is_replaced(tx: Transaction, attempt_id: str) -> bool:
    """Whether an attempt, locked from here on, is given up only so that its intent is paid in another way."""
    replaced = sa.select(ATTEMPT.c.replaced_at).where(ATTEMPT.c.id == attempt_id).with_for_update()
    return tx.scalar(replaced) is not None


def await_payer(tx: Transaction, attempt: Attempt, action: RequiresAction) -> None:
    """The provider waits for the payer to confirm; it is asked from time to time whether that was done."""
    _change(
        tx, ATTEMPT, attempt.id, action_url=action.url, action_expires_at=action.expires_at,
        next_check_at=tx.now + check_delay(attempt.checks),
    )  # fmt: skip


def check_now(tx: Transaction, key: str) -> bool:
    """Have the provider asked about a key at once, if its attempt is under way; whether it is."""
    statement = sa.update(ATTEMPT).where(ATTEMPT.c.provider_key == key, ATTEMPT.c.state == State.PROCESSING)
    return tx.execute(statement.values(next_check_at=tx.now, updated_at=tx.now)).rowcount == 1


def add_webhook_event(tx: Transaction, event_id: str, kind: str) -> bool:
    """Note that a webhook came; False if it has come before."""
    return tx.insert_new(WEBHOOK_EVENT, {"id": event_id, "kind": kind, "received_at": tx.now})


def mark_captured(tx: Transaction, attempt: Attempt, captured: Captured) -> bool:
    """Both attempt and intent are captured; False if the attempt was settled before."""
    return _enter(
        tx,
        State.CAPTURED,
        attempt,
        provider_charge_id=captured.charge_id,
        card_brand=captured.card.brand,
        card_last4=captured.card.last4,
        captured_at=captured.captured_at,
    )


def mark_failed(tx: Transaction, attempt: Attempt, decline_code: str) -> bool:
    """Both attempt and intent have failed; False if the attempt was settled before."""
    return _enter(tx, State.FAILED, attempt, decline_code=decline_code)


def mark_voided(tx: Transaction, attempt: Attempt) -> bool:
    """Both attempt and intent are given up; False if the attempt was settled before."""
    return _enter(tx, State.VOIDED, attempt)


def check_later(tx: Transaction, attempt: Attempt, at_least_s: float) -> None:
    """Have the provider asked again after a delay that grows with each check, and not before it wants to be."""
    _change(tx, ATTEMPT, attempt.id, next_check_at=tx.now + check_delay(attempt.checks, at_least_s))


def _attempts_under_way() -> sa.Select[Any]:
    return (
        sa.select(ATTEMPT, INTENT.c.order_id, INTENT.c.amount_minor, INTENT.c.currency)
        .join(INTENT, ATTEMPT.c.intent_id == INTENT.c.id)
        .where(ATTEMPT.c.state == State.PROCESSING)
    )


def _claimed(
    tx: Transaction, row: Row, lease: timedelta, void_requested_at: datetime | None, **changes: Any
) -> Attempt:  # fmt: skip
    checks = row["checks"] + 1
    _change(
        tx, ATTEMPT, row["id"], next_check_at=tx.now + lease, checks=checks, void_requested_at=void_requested_at,
        **changes,
    )  # fmt: skip
    return Attempt(
        row["id"],
        row["intent_id"],
        row["order_id"],
        row["provider_key"],
        row["provider_token"],
        Money(row["amount_minor"], row["currency"]),
        checks,
        void_wanted=void_requested_at is not None,
        save=row["save_card"],
    )


def mark_attempt_failed(tx: Transaction, attempt: Attempt, decline_code: str) -> bool:
    """The attempt has failed, but not its intent; False if the attempt was settled before."""
    facts = {"state": State.FAILED, "provider_token": None, "next_check_at": None, "decline_code": decline_code}
    return _guarded(tx, ATTEMPT, attempt.id, State.FAILED, facts)


def mark_attempt_voided(tx: Transaction, attempt: Attempt) -> bool:
    """The attempt is given up, but not its intent; False if the attempt was settled before."""
    facts = {"state": State.VOIDED, "provider_token": None, "next_check_at": None}
    return _guarded(tx, ATTEMPT, attempt.id, State.VOIDED, facts)


# --- refunds ---


def lock_intent(tx: Transaction, order_id: str) -> Row | None:
    """An order's intent, which nobody else may lock until the transaction ends: with the charge that captured it, and
    `refunded_minor`, which is given back already or about to be.
    """
    locked = tx.scalar(sa.select(INTENT.c.id).where(INTENT.c.order_id == order_id).with_for_update())
    captured = sa.and_(ATTEMPT.c.intent_id == INTENT.c.id, ATTEMPT.c.state == State.CAPTURED)
    # read after the lock is held: in the locking statement the sum could be an older one
    return tx.one(
        sa.select(INTENT, ATTEMPT.c.provider_charge_id, sum_of_refunds(RefundState.PROCESSING, RefundState.SUCCEEDED))
        .outerjoin(ATTEMPT, captured)
        .where(INTENT.c.id == locked)
    )


def add_refund(tx: Transaction, refund: Refund, reason: str, lease: timedelta) -> None:
    """Store a new refund in state `processing`, which belongs to the caller for `lease`."""
    tx.execute(
        sa.insert(REFUND).values(
            id=refund.id,
            intent_id=refund.intent_id,
            provider_charge_id=refund.charge_id,
            amount_minor=refund.amount.amount_minor,
            reason=reason,
            state=RefundState.PROCESSING,
            checks=refund.checks,
            next_check_at=tx.now + lease,
            created_at=tx.now,
            updated_at=tx.now,
        )
    )


def find_refund(reader: Reader, refund_id: str) -> Row | None:
    """A refund with its order and currency."""
    return reader.one(_REFUND_WITH_INTENT.where(REFUND.c.id == refund_id))


def claim_due_refund(tx: Transaction, lease: timedelta, refund_id: str | None = None) -> Refund | None:
    """Take the refund that has been due for longest (or that one), for `lease`; None if none is due and nobody's."""
    due = (
        _REFUND_WITH_INTENT.where(
            REFUND.c.state == RefundState.PROCESSING, is_due(REFUND.c.next_check_at, tx.now, lease)
        )
        .order_by(REFUND.c.next_check_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=REFUND)
    )
    row = tx.one(due if refund_id is None else due.where(REFUND.c.id == refund_id))
    if row is None:
        return None
    checks = row["checks"] + 1
    _change_refund(tx, row["id"], next_check_at=tx.now + lease, checks=checks)
    amount = Money(row["amount_minor"], row["currency"])
    return Refund(row["id"], row["intent_id"], row["order_id"], row["provider_charge_id"], amount, checks)


def mark_refunded(tx: Transaction, refund: Refund, refunded: Refunded) -> bool:
    """The money is given back; False if the refund was settled before."""
    return _change_refund(
        tx,
        refund.id,
        state=RefundState.SUCCEEDED,
        next_check_at=None,
        provider_refund_id=refunded.refund_id,
        refunded_at=refunded.refunded_at,
    )


def mark_refund_failed(tx: Transaction, refund: Refund, code: str) -> bool:
    """The money will not be given back by the provider; False if the refund was settled before."""
    return _change_refund(tx, refund.id, state=RefundState.FAILED, next_check_at=None, failure_code=code)


def check_refund_later(tx: Transaction, refund: Refund, at_least_s: float) -> None:
    """Have the provider asked again after a delay that grows with each check, and not before it wants to be."""
    _change_refund(tx, refund.id, next_check_at=tx.now + check_delay(refund.checks, at_least_s))


_REFUND_WITH_INTENT: sa.Select[Any] = sa.select(REFUND, INTENT.c.order_id, INTENT.c.currency).join(
    INTENT, INTENT.c.id == REFUND.c.intent_id
)


def _change_refund(tx: Transaction, refund_id: str, **values: Any) -> bool:
    statement = sa.update(REFUND).where(REFUND.c.id == refund_id, REFUND.c.state == RefundState.PROCESSING)
    return tx.execute(statement.values(**values, updated_at=tx.now)).rowcount == 1


def _enter(tx: Transaction, state: State, attempt: Attempt, **facts: Any) -> bool:
    # A token that has served is worth nothing to us: it is not kept.
    facts = {**facts, "state": state, "provider_token": None, "next_check_at": None}
    if tx.is_sqlite:
        moved = _guarded(tx, ATTEMPT, attempt.id, state, facts)
        followed = moved and _guarded(tx, INTENT, attempt.intent_id, state, {"state": state})
    else:
        (row,) = tx.all(_entering_both(state, tuple(facts)), row_id=attempt.id, **facts, updated_at=tx.now)
        moved, followed = row["moved"] == 1, row["followed"] == 1
    if moved and not followed:
        raise RuntimeError(f"intent {attempt.intent_id} and attempt {attempt.id} contradict each other")
    return moved


def _guarded(tx: Transaction, table: sa.Table, row_id: str, state: State, values: dict[str, Any]) -> bool:
    return tx.change(_entering(table, state, tuple(values)), row_id=row_id, **values, updated_at=tx.now) == 1


@cache
def _entering(table: sa.Table, state: State, columns: tuple[str, ...]) -> Statement:
    return Statement(_entry(table, state, columns, table.c.id == sa.bindparam("row_id")))


def _entry(table: sa.Table, state: State, columns: tuple[str, ...], is_it: sa.ColumnElement[bool]) -> sa.Update:
    values = {name: sa.bindparam(name, type_=table.c[name].type) for name in (*columns, "updated_at")}
    return sa.update(table).where(is_it, one_of(table.c.state, sorted(ENTERED_FROM[state]))).values(values)


@cache
def _entering_both(state: State, columns: tuple[str, ...]) -> Statement:
    """The same of an attempt and, if it was moved, of its intent: in one statement, which saves a round trip."""
    is_attempt = ATTEMPT.c.id == sa.bindparam("row_id")
    attempt = _entry(ATTEMPT, state, columns, is_attempt).returning(ATTEMPT.c.intent_id).cte("attempt")
    is_intent = INTENT.c.id == attempt.c.intent_id
    intent = _entry(INTENT, state, ("state",), is_intent).returning(INTENT.c.id).cte("intent")
    count = [sa.select(sa.func.count()).select_from(moved).scalar_subquery() for moved in (attempt, intent)]
    return Statement(sa.select(count[0].label("moved"), count[1].label("followed")))


def _change(tx: Transaction, table: sa.Table, row_id: str, **values: Any) -> None:
    statement = sa.update(table).where(table.c.id == row_id, table.c.state == State.PROCESSING)
    tx.execute(statement.values(**values, updated_at=tx.now))
