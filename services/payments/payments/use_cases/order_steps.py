"""What happened to the payment of an order: attempts, instructions, money that came and went back, disputes."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from chassis.persistence import Reader, Row
from chassis.timeline import Step
from payments.dispute_storage import DISPUTE
from payments.domain.states import RefundState, State
from payments.domain.strays import StrayState
from payments.remittance_storage import INSTRUCTIONS, RECEIPT
from payments.storage import ATTEMPT, INTENT, REFUND
from payments.stray_storage import STRAY

#: What an attempt has come to, by its state; one that is under way has come to nothing yet.
_ENDS = {State.CAPTURED: "payment.captured", State.FAILED: "payment.declined", State.VOIDED: "payment.voided"}


def order_steps(reader: Reader, order_id: str, organization_id: str | None) -> Iterator[Step]:
    """The steps of an order's payment; none if it is not that organisation's.

    Args:
        reader: the database.
        order_id: the order.
        organization_id: whose it must be; None for anybody's.
    """
    intent = reader.one(sa.select(INTENT).where(INTENT.c.order_id == order_id))
    if intent is None or organization_id not in (None, intent["organization_id"]):
        return
    of_intent = {table: _rows(reader, table, intent) for table in (ATTEMPT, INSTRUCTIONS, RECEIPT, REFUND, DISPUTE)}
    for attempt in of_intent[ATTEMPT]:
        yield from _of_attempt(attempt, intent)
        for stray in reader.all(sa.select(STRAY).where(STRAY.c.attempt_id == attempt["id"])):
            yield from _of_stray(stray)
    for instructions in of_intent[INSTRUCTIONS]:
        told = {"method": instructions["method"], "reference": instructions["reference"]}
        yield Step(instructions["issued_at"], "payment.instructions_issued", told)
        if instructions["overdue_at"] is not None:
            yield Step(instructions["overdue_at"], "payment.overdue", told)
    for receipt in of_intent[RECEIPT]:
        yield _of_receipt(receipt)
    for refund in of_intent[REFUND]:
        yield from _of_refund(refund, intent)
    for dispute in of_intent[DISPUTE]:
        yield from _of_dispute(dispute)


def _rows(reader: Reader, table: sa.Table, intent: Row) -> list[Row]:
    return list(reader.all(sa.select(table).where(table.c.intent_id == intent["id"])))


def _of_attempt(attempt: Row, intent: Row) -> Iterator[Step]:
    facts = {"attempt_id": attempt["id"], "amount_minor": intent["amount_minor"], "currency": intent["currency"]}
    yield Step(attempt["created_at"], "payment.attempted", facts)
    ended = _ENDS.get(State(attempt["state"]))
    if ended is not None:
        found = ("provider_charge_id", "card_brand", "card_last4", "decline_code")
        known = {name: attempt[name] for name in found if attempt[name] is not None}
        yield Step(attempt["captured_at"] or attempt["updated_at"], ended, {**facts, **known})


def _of_stray(stray: Row) -> Iterator[Step]:
    """Money that was taken after all, and goes back by itself."""
    if stray["state"] == StrayState.SUSPECTED:
        return
    names = ("attempt_id", "amount_minor", "currency", "provider_charge_id")
    facts = {"stray_id": stray["id"], **{name: stray[name] for name in names}}
    yield Step(stray["noted_at"], "payment.stray_captured", facts)
    if stray["state"] == StrayState.RETURNED:
        proof = {"provider_refund_id": stray["provider_refund_id"]}
        yield Step(stray["ended_at"], "payment.stray_returned", {**facts, **proof})


def _of_receipt(receipt: Row) -> Step:
    facts = {name: receipt[name] for name in ("method", "bank_reference", "amount_minor", "currency", "completes")}
    return Step(
        receipt["recorded_at"],
        "payment.received",
        {"receipt_id": receipt["id"], **facts, "received_on": receipt["received_on"].isoformat()},
    )


def _of_refund(refund: Row, intent: Row) -> Iterator[Step]:
    facts = {"refund_id": refund["id"], "amount_minor": refund["amount_minor"], "currency": intent["currency"]}
    yield Step(refund["created_at"], "payment.refund_begun", facts)
    if refund["state"] == RefundState.SUCCEEDED:
        proof = {"provider_refund_id": refund["provider_refund_id"]}
        yield Step(refund["refunded_at"], "payment.refunded", {**facts, **proof})
    elif refund["state"] == RefundState.FAILED:
        yield Step(refund["updated_at"], "payment.refund_failed", {**facts, "failure_code": refund["failure_code"]})


def _of_dispute(dispute: Row) -> Iterator[Step]:
    """What staff answer is in the trail, which they alone see: the payer need not know what is held against them."""
    facts = {
        "dispute_id": dispute["id"], "amount_minor": dispute["amount_minor"], "currency": dispute["currency"],
        "reason": dispute["reason"],
    }  # fmt: skip
    yield Step(dispute["opened_at"], "payment.disputed", facts)
    if dispute["closed_at"] is not None:
        yield Step(dispute["closed_at"], f"payment.dispute_{dispute['state']}", facts)
