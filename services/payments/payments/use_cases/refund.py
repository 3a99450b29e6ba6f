"""Give back money that was taken for an order, once for each refund.

As with collecting: the refund is committed first, then the provider is asked outside of any transaction, then the
result is committed with its event. Whatever dies in between is settled from the refund's row (`settle_refunds`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import conflict, not_found
from kernel.money import Money
from payments import payout_storage, storage
from payments.domain.provider import Refund
from payments.domain.states import RefundState, State
from payments.use_cases.record_refund import record_refund
from payments.use_cases.settle_refunds import settle_refund

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Transaction
    from payments.bootstrap import App


def refund(
    app: App, caller: Identity | None, *, refund_id: str, order_id: str, amount: dict[str, Any], reason: str
) -> dict[str, Any]:
    """Give back, or resume giving back, or answer what is known: one refund gives back once.

    Args:
        app: the service's.
        caller: finance or a superuser; None for a service acting on its own (cart's process manager).
        refund_id: the caller's id of the refund, the same for every retry; also the key in the provider's book.
        order_id: the order that was paid.
        amount: money as a dictionary; together with earlier refunds no more than was captured.
        reason: for people.

    Returns:
        The refund: `succeeded`, `failed`, `processing` while the provider's answer is not known, or `awaiting_payout`
        until staff have sent what came by wire or check (`record_payout`).

    Raises:
        Refusal: `forbidden`; `not_captured`; `refund_exceeds_payment`; `refund_differs` if it was asked for with
            another order or amount before.
    """
    if caller is not None:
        caller.require("finance", "superuser")
    wanted = Money(amount["amount_minor"], amount["currency"])
    with app.database.transaction() as tx:
        by_bank = _have_paid_out(tx, refund_id, order_id, wanted, reason)
        if by_bank is not None:
            return by_bank
        new = _begin(app, tx, refund_id, order_id, wanted, reason)
        due = None if new else storage.claim_due_refund(tx, app.lease, refund_id)
    if new is not None:
        record_refund(app, new, app.provider.refund(new.key, new.charge_id, wanted))
    elif due is not None:
        settle_refund(app, due)
    return _answer(app, refund_id)


def _begin(app: App, tx: Transaction, refund_id: str, order_id: str, wanted: Money, reason: str) -> Refund | None:
    """Write the refund; None if it was written before."""
    intent = storage.lock_intent(tx, order_id)
    if intent is None or intent["state"] != State.CAPTURED or intent["provider_charge_id"] is None:
        raise conflict("not_captured", "No money was taken for this order by the payment provider.")
    known = storage.find_refund(tx, refund_id)
    if known is not None:
        if known["order_id"] != order_id or Money(known["amount_minor"], known["currency"]) != wanted:
            raise conflict("refund_differs", "This refund was asked for with another order or amount before.")
        return None
    captured = Money(intent["amount_minor"], intent["currency"])
    if wanted.currency != captured.currency or wanted.amount_minor > captured.amount_minor - intent["refunded_minor"]:
        raise conflict("refund_exceeds_payment", "More is to be given back than was taken.")
    begun = Refund(refund_id, intent["id"], order_id, intent["provider_charge_id"], wanted, checks=0)
    storage.add_refund(tx, begun, reason, app.lease)
    return begun


def _have_paid_out(tx: Transaction, refund_id: str, order_id: str, wanted: Money, reason: str) -> dict[str, Any] | None:
    """Have staff send the money, if it came by wire or check; None if the provider took it."""
    known = payout_storage.find_payout(tx, refund_id)
    intent = storage.lock_intent(tx, order_id)
    if intent is None or intent["state"] != State.CAPTURED or intent["provider_charge_id"] is not None:
        return None
    if known is None:
        left = intent["amount_minor"] - payout_storage.payouts_minor(tx, intent["id"])
        if wanted.currency != intent["currency"] or wanted.amount_minor > left:
            raise conflict("refund_exceeds_payment", "More is to be given back than was taken.")
        payout_storage.add_payout(
            tx,
            {"id": refund_id, "intent_id": intent["id"], "kind": "refund", "amount_minor": wanted.amount_minor,
             "reason": reason, "state": payout_storage.WAITING},
        )  # fmt: skip
    elif known["order_id"] != order_id or Money(known["amount_minor"], known["currency"]) != wanted:
        raise conflict("refund_differs", "This refund was asked for with another order or amount before.")
    paid = known is not None and known["state"] == payout_storage.PAID
    return {
        "refund_id": refund_id, "order_id": order_id, "amount": wanted.as_dict(), "failure_code": None,
        "state": RefundState.SUCCEEDED if paid else "awaiting_payout",
    }  # fmt: skip


def _answer(app: App, refund_id: str) -> dict[str, Any]:
    with app.database.reading() as reader:
        row = storage.find_refund(reader, refund_id)
    if row is None:
        raise not_found("refund")
    return {
        "refund_id": row["id"],
        "order_id": row["order_id"],
        "state": row["state"],
        "amount": {"amount_minor": row["amount_minor"], "currency": row["currency"]},
        "failure_code": row["failure_code"],
    }
