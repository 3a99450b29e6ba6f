"""Record money that staff have sent by bank for a refund: then, and only then, it is given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.identity import STAFF
from chassis.persistence import IdempotencyKeys, request_hash
from kernel.clock import rfc3339
from kernel.errors import Refusal, conflict, not_found
from payments import messages, payout_storage
from payments.domain.remittances import bank_key
from payments.use_cases.record_receipt import CLERKS

if TYPE_CHECKING:
    from datetime import date

    from chassis.identity import Identity
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App


def record_payout(
    app: App, caller: Identity, *, idempotency_key: str, refund_id: str, bank_reference: str, paid_on: date
) -> dict[str, Any]:
    """Record that a refund was paid out, once.

    Args:
        app: the service's.
        caller: finance or a superuser.
        idempotency_key: the same for every retry of this request.
        refund_id: a refund that waits for it.
        bank_reference: the bank's own, or the check's number; unique among payouts.
        paid_on: the day on the bank's statement.

    Raises:
        Refusal: `forbidden`; `not_found`; `payout_already_recorded` with who did; `bank_reference_used`;
            `idempotency_key_reused`.
    """
    caller.require(*CLERKS)
    asked = {"refund_id": refund_id, "bank_reference": bank_reference, "paid_on": paid_on.isoformat()}
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        known = keys.begin(idempotency_key, request_hash("record_payout", asked))
        if known is not None:
            assert known.answer is not None, "written in the transaction that took the key"
            return {**known.answer, "replayed": True}
        payout = payout_storage.lock_payout(tx, refund_id)
        if payout is None:
            raise not_found("payout")
        if payout["state"] == payout_storage.PAID:
            raise recorded_before(payout)
        sent = pay(tx, caller, payout, bank_reference, paid_on)
        tx.emit(
            messages.REFUNDED,
            {
                "refund_id": refund_id, "order_id": payout["order_id"], "intent_id": payout["intent_id"],
                "amount": {"amount_minor": payout["amount_minor"], "currency": payout["currency"]},
                "provider_refund_id": bank_reference, "refunded_at": tx.now,
            },
        )  # fmt: skip
        answer = {"payout": payout_view({**payout, **sent, "state": payout_storage.PAID, "recorded_at": tx.now})}
        keys.finish(idempotency_key, answer)
    return {**answer, "replayed": False}


def pay(tx: Transaction, caller: Identity, payout: Row, bank_reference: str, paid_on: date) -> dict[str, Any]:
    """Note that a locked payout was sent.

    Raises:
        Refusal: `bank_reference_used`.
    """
    key = bank_key(bank_reference)
    if payout_storage.is_recorded(tx, key):
        raise conflict("bank_reference_used", "This bank reference was recorded before with another payout.")
    sent = {"bank_reference": bank_reference, "bank_key": key, "paid_on": paid_on, "recorded_by": caller.user_id}
    payout_storage.mark_paid(tx, payout["id"], sent)
    tx.audit(
        caller, "payout.recorded", payout["order_id"], payout["organization_id"], payout_id=payout["id"],
        amount_minor=payout["amount_minor"], currency=payout["currency"], bank_reference=bank_reference,
    )  # fmt: skip
    return sent


def recorded_before(payout: Row) -> Refusal:
    """Two clerks, one payout: the answer to the second."""
    when = f"by {payout['recorded_by']} at {rfc3339(payout['recorded_at'])}"
    return conflict(
        "payout_already_recorded", f"This was paid out before, {when}.", extra={"payout": payout_view(payout)}
    )


def list_payouts(app: App, caller: Identity, *, state: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of payouts, newest first: those that wait are to be sent.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = payout_storage.page_of_payouts(reader, state, limit, cursor)
    return {"items": [payout_view(row) for row in rows], "next": following}


def payout_view(payout: Row | dict[str, Any]) -> dict[str, Any]:
    """A payout for staff."""
    return {
        "id": payout["id"],
        "kind": payout["kind"],
        "order_id": payout["order_id"],
        "order_number": payout["order_number"],
        "organization_id": payout["organization_id"],
        "amount": {"amount_minor": payout["amount_minor"], "currency": payout["currency"]},
        "reason": payout["reason"],
        "state": payout["state"],
        "bank_reference": payout["bank_reference"],
        "paid_on": payout["paid_on"].isoformat() if payout["paid_on"] else None,
        "recorded_by": payout["recorded_by"],
        "recorded_at": rfc3339(payout["recorded_at"]) if payout["recorded_at"] else None,
    }
