"""Stop waiting for a wire or check: the money did not come in time, or nobody wants it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.ids import new_id
from payments import messages, remittance_storage
from payments.domain.declines import decline
from payments.domain.remittances import OVERDUE, Reason
from payments.domain.states import State

if TYPE_CHECKING:
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App

    Intent = Row | dict[str, Any]


def end_if_overdue(app: App, order_id: str) -> None:
    """Enforce on read what the sweep has not got to yet."""
    with app.database.transaction() as tx:
        locked = remittance_storage.lock_intent(tx, order_id)
        awaited = remittance_storage.find_instructions(tx, order_id)
        if awaited is not None and locked is not None and awaited["expires_at"] <= tx.now:
            end_overdue(tx, locked)


def end_overdue(tx: Transaction, intent: Intent) -> bool:
    """Fail a locked intent whose money did not come in time; what has come in part is set aside.

    Returns:
        Whether it was still waiting.
    """
    if intent["state"] != State.REQUIRES_ACTION:
        return False
    remittance_storage.end(tx, intent["id"], State.FAILED, overdue=True)
    set_aside(tx, intent["id"])
    tx.emit(messages.FAILED, {"order_id": intent["order_id"], "intent_id": intent["id"], "decline": decline(OVERDUE)})
    return True


def set_aside(tx: Transaction, intent_id: str) -> None:
    """Put what has arrived for a locked intent that has ended without payment on the review list."""
    for receipt in remittance_storage.receipts_without_surplus(tx, intent_id):
        remittance_storage.add_surplus(
            tx,
            {
                "id": new_id("srp"),
                "receipt_id": receipt["id"],
                "amount_minor": receipt["amount_minor"],
                "currency": receipt["currency"],
                "reason": Reason.ORDER_CANCELLED,
            },
        )
