"""Record money that has arrived by wire or check, and complete the payment once all of it is there.

Everything happens in one transaction that holds the intent, so that two clerks who record the same money at once have
one effect, two who record its two halves complete it once, and a crash leaves all of it or nothing.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from chassis import failpoints
from chassis.persistence import IdempotencyKeys, request_hash
from kernel.clock import rfc3339
from kernel.errors import Refusal, conflict, invalid, not_found
from kernel.ids import new_id
from kernel.money import Money
from payments import messages, remittance_storage
from payments.domain.references import is_reference, normalised
from payments.domain.remittances import Settlement, bank_key, settle
from payments.domain.states import State
from payments.use_cases.end_remittance import end_overdue
from payments.use_cases.remittance_views import receipt_view, told_to_payer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chassis.identity import Identity
    from chassis.persistence import Transaction
    from payments.bootstrap import App

#: Who may record money.
CLERKS = ("finance", "superuser")


def record_receipt(
    app: App,
    caller: Identity,
    *,
    idempotency_key: str,
    method: str,
    amount: dict[str, Any],
    received_on: date,
    bank_reference: str,
    reference: str | None = None,
    order_id: str | None = None,
) -> dict[str, Any]:
    """Record a receipt: short leaves the rest due, exact completes, over completes and sets the surplus aside.

    Money for an order that is cancelled or paid is recorded too, and set aside whole.

    Args:
        app: the service's.
        caller: staff.
        idempotency_key: the same for every retry of this request.
        method: ``wire`` or ``check``: how it came, whatever was agreed.
        amount: money as a dictionary.
        received_on: the day on the bank's statement.
        bank_reference: the bank's own, or the check's number; unique for each method.
        reference: the payment reference; or
        order_id: the order.

    Returns:
        The receipt, and how far the payment is with it.

    Raises:
        Refusal: `forbidden`; `idempotency_key_reused`; `reference_invalid`; `not_found`; `currency_differs`;
            `received_on_in_the_future`; `receipt_already_recorded`; `bank_reference_used`; `payment_under_way`.
    """
    caller.require(*CLERKS)
    asked = {
        "method": method, "amount": amount, "received_on": received_on.isoformat(), "bank_reference": bank_reference,
        "reference": reference, "order_id": order_id,
    }  # fmt: skip
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        known = keys.begin(idempotency_key, request_hash("record_receipt", asked))
        if known is not None:
            assert known.answer is not None, "written in the transaction that took the key"
            return {**known.answer, "replayed": True}
        # a day more than the clock says: the bank may be in a time zone where it is tomorrow
        if received_on > tx.now.date() + timedelta(days=1):
            raise invalid("received_on_in_the_future", "Money cannot have come in the future.", "received_on")
        intent = _lock(tx, reference, order_id)
        check_receivable(intent, amount)
        receipt = {
            "id": new_id("rct"), "intent_id": intent["id"], "method": method, "bank_reference": bank_reference,
            "bank_key": bank_key(bank_reference), **amount, "received_on": received_on, "completes": False,
            "recorded_by": caller.user_id, "recorded_at": tx.now,
        }  # fmt: skip
        answer = record_locked(app, tx, intent, receipt)
        tx.audit(
            caller, "receipt.recorded", intent["order_id"], intent["organization_id"], receipt_id=receipt["id"],
            method=method, amount=amount, bank_reference=bank_reference, received_on=received_on,
        )  # fmt: skip
        keys.finish(idempotency_key, answer)
        failpoints.reach("payments.recording")
    return {**answer, "replayed": False}


def _lock(tx: Transaction, reference: str | None, order_id: str | None) -> dict[str, Any]:
    if reference is not None:
        plain = normalised(reference)
        if not is_reference(plain):
            raise invalid("reference_invalid", "The check digits are wrong: a symbol was mistyped.", "reference")
        order_id = remittance_storage.order_of(tx, plain)
    intent = remittance_storage.lock_intent(tx, order_id) if order_id is not None else None
    if intent is None:
        raise not_found("payment")
    return dict(intent)


def check_receivable(intent: Mapping[str, Any], amount: Mapping[str, Any]) -> None:
    """Refuse money that cannot be recorded for a locked intent just now.

    Raises:
        Refusal: `currency_differs`; `payment_under_way`.
    """
    if amount["currency"] != intent["currency"]:
        raise invalid("currency_differs", f"This order is in {intent['currency']}.", "amount.currency")
    if intent["state"] == State.PROCESSING:
        raise conflict(
            "payment_under_way", "A card payment of this order is under way. Record the money again in a minute."
        )


def record_locked(app: App, tx: Transaction, intent: dict[str, Any], receipt: dict[str, Any]) -> dict[str, Any]:
    """Record a receipt for a locked intent, and complete that or set something aside; the receipt and the progress."""
    awaited = remittance_storage.find_instructions(tx, intent["order_id"])
    if awaited is not None and awaited["expires_at"] <= tx.now and end_overdue(tx, intent):
        intent["state"] = State.FAILED
    due = intent["amount_minor"]
    before = remittance_storage.received_minor(tx, intent["id"])
    settlement = settle(State(intent["state"]), due, before, receipt["amount_minor"])
    receipt["completes"] = settlement.completes
    if not remittance_storage.add_receipt(tx, receipt):
        raise _recorded_before(tx, receipt)
    if settlement.completes:
        _complete(tx, intent)
    _set_aside(tx, receipt, settlement)
    received = before + receipt["amount_minor"]
    waits = intent["state"] == State.REQUIRES_ACTION
    progress = {
        "state": str(intent["state"]),
        "due": _money(due, receipt),
        "received": _money(received, receipt),
        "remaining": _money(max(0, due - received) if waits else 0, receipt),
        "surplus": _money(settlement.surplus_minor, receipt),
        "reason": str(settlement.reason) if settlement.reason else None,
    }
    shown = receipt_view({**receipt, "order_id": intent["order_id"], "order_number": intent["order_number"]})
    if awaited is not None:
        told = {**told_to_payer(app, awaited, received), "receipt": shown, "payment": progress}
        tx.emit(messages.RECEIPT_RECORDED, told)
    return {"receipt": shown, "payment": progress}


def _complete(tx: Transaction, intent: dict[str, Any]) -> None:
    """All of it is there: say so as a capture does, so that what follows is the same."""
    if not remittance_storage.end(tx, intent["id"], State.CAPTURED):
        raise RuntimeError(f"intent {intent['id']} was locked and waited for money, and cannot be completed")
    intent["state"] = State.CAPTURED
    tx.emit(
        messages.CAPTURED,
        {
            "order_id": intent["order_id"],
            "intent_id": intent["id"],
            "method": intent["method"],
            "amount": _money(intent["amount_minor"], intent),
            "card": None,
            "provider_charge_id": None,
            "captured_at": tx.now,
        },
    )


def _set_aside(tx: Transaction, receipt: Mapping[str, Any], settlement: Settlement) -> None:
    if settlement.reason is not None:
        remittance_storage.add_surplus(
            tx,
            {
                "id": new_id("srp"), "receipt_id": receipt["id"], "amount_minor": settlement.surplus_minor,
                "currency": receipt["currency"], "reason": settlement.reason,
            },
        )  # fmt: skip


def _recorded_before(tx: Transaction, receipt: Mapping[str, Any]) -> Refusal:
    found = remittance_storage.find_receipt(tx, receipt["method"], receipt["bank_key"])
    assert found is not None, "its unique key is what refused the receipt"
    when = f"by {found['recorded_by']} at {rfc3339(found['recorded_at'])}"
    what = f"{Money(found['amount_minor'], found['currency'])} for order {found['order_number']}"
    same = all(found[name] == receipt[name] for name in ("intent_id", "amount_minor", "currency"))
    extra = {"receipt": receipt_view(found)}
    if same:
        return conflict("receipt_already_recorded", f"This money was recorded before: {what}, {when}.", extra)
    return conflict(
        "bank_reference_used", f"This bank reference was recorded before with something else: {what}, {when}.", extra
    )


def _money(amount_minor: int, of: Mapping[str, Any]) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": of["currency"]}
