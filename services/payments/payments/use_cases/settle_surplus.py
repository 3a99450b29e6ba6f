"""Settle money that had nothing to pay for: it is sent back, or pays for another order of the same organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.persistence import IdempotencyKeys, request_hash
from kernel.errors import conflict, not_found
from kernel.ids import new_id
from payments import payout_storage, remittance_storage
from payments.domain.remittances import bank_key
from payments.use_cases.record_payout import pay
from payments.use_cases.record_receipt import CLERKS, check_receivable, record_locked

if TYPE_CHECKING:
    from datetime import date

    from chassis.identity import Identity
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App


def settle_surplus(
    app: App,
    caller: Identity,
    *,
    idempotency_key: str,
    id: str,
    order_id: str | None = None,
    bank_reference: str | None = None,
    paid_on: date | None = None,
) -> dict[str, Any]:
    """Send a surplus back (`bank_reference`, `paid_on`), or use it for another order (`order_id`). Once.

    Used, it is a receipt of that order like any other, which may complete it, or leave something over again.

    Args:
        app: the service's.
        caller: finance or a superuser.
        idempotency_key: the same for every retry of this request.
        id: the surplus.
        order_id: an order of the same organisation that awaits a wire or check.
        bank_reference, paid_on: of the movement by which it was sent.

    Raises:
        Refusal: `forbidden`; `not_found`, for an order of another organisation too; `surplus_settled`;
            `order_awaits_no_money`; `currency_differs`; `payment_under_way`; `bank_reference_used`;
            `idempotency_key_reused`.
    """
    caller.require(*CLERKS)
    asked = {
        "id": id, "order_id": order_id, "bank_reference": bank_reference,
        "paid_on": paid_on.isoformat() if paid_on else None,
    }  # fmt: skip
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        known = keys.begin(idempotency_key, request_hash("settle_surplus", asked))
        if known is not None:
            assert known.answer is not None, "written in the transaction that took the key"
            return {**known.answer, "replayed": True}
        surplus = payout_storage.lock_surplus(tx, id)
        if surplus is None:
            raise not_found("surplus")
        how = payout_storage.RETURNED if order_id is None else payout_storage.USED
        settled = {"surplus_id": id, "how": how, "order_id": order_id, "settled_by": caller.user_id}
        if not payout_storage.settle_surplus(tx, settled):
            raise conflict("surplus_settled", "This money was settled before.")
        payment = None
        if order_id is not None:
            payment = _use(app, tx, caller, surplus, order_id)
        elif bank_reference is not None and paid_on is not None:
            _send(tx, caller, surplus, bank_reference, paid_on)
        tx.audit(
            caller, f"surplus.{how}", surplus["order_id"], surplus["organization_id"], surplus_id=id,
            amount_minor=surplus["amount_minor"], currency=surplus["currency"], used_for=order_id,
        )  # fmt: skip
        answer = {"surplus_id": id, "settlement": how, "order_id": order_id, "payment": payment}
        keys.finish(idempotency_key, answer)
    return {**answer, "replayed": False}


def _use(app: App, tx: Transaction, caller: Identity, surplus: Row, order_id: str) -> dict[str, Any]:
    """A receipt of another order, named after the surplus: that money is recorded for an order once."""
    found = remittance_storage.lock_intent(tx, order_id)
    if found is None or found["organization_id"] != surplus["organization_id"]:
        raise not_found("order")
    intent = dict(found)
    check_receivable(intent, surplus)
    receipt = {
        "id": new_id("rct"), "intent_id": intent["id"], "method": surplus["method"], "bank_reference": surplus["id"],
        "bank_key": bank_key(surplus["id"]), "amount_minor": surplus["amount_minor"], "currency": surplus["currency"],
        "received_on": surplus["received_on"], "completes": False, "recorded_by": caller.user_id,
        "recorded_at": tx.now,
    }  # fmt: skip
    payment: dict[str, Any] = record_locked(app, tx, intent, receipt)["payment"]
    if payment["reason"] not in (None, "overpaid"):
        raise conflict("order_awaits_no_money", "This order is paid or cancelled: nothing is awaited for it.")
    return payment


def _send(tx: Transaction, caller: Identity, surplus: Row, bank_reference: str, paid_on: date) -> None:
    values = {
        "id": surplus["id"], "intent_id": surplus["intent_id"], "kind": "surplus",
        "amount_minor": surplus["amount_minor"], "reason": surplus["reason"], "state": payout_storage.WAITING,
    }  # fmt: skip
    payout_storage.add_payout(tx, values)
    payout = payout_storage.lock_payout(tx, surplus["id"])
    assert payout is not None, "written in this transaction"
    pay(tx, caller, payout, bank_reference, paid_on)
