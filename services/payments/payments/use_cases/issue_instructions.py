"""Tell a payer how to pay by wire or check, and await the money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import conflict, invalid, not_found
from kernel.ids import new_id
from payments import messages, remittance_storage, storage
from payments.domain.references import reference_of
from payments.domain.states import State
from payments.use_cases.get_intent import get_intent
from payments.use_cases.remittance_views import told_to_payer

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App
    from payments.domain.remittances import Terms


def issue_instructions(
    app: App,
    caller: Identity | None,
    *,
    order_id: str,
    order_number: str,
    amount: dict[str, Any],
    method: str,
    payer: dict[str, str],
) -> dict[str, Any]:
    """Await an order's amount by wire or check. Safe to ask again; another method replaces the instructions.

    Money that has arrived stays arrived, and the reference stays the same, whatever the method.

    Args:
        app: the service's.
        caller: must be of the payer's organisation; None for a service acting on its own.
        order_id, order_number: what is paid for.
        amount: money as a dictionary.
        method: ``wire`` or ``check``.
        payer: for whom, who asked, and whom to write to.

    Returns:
        The intent; its `instructions` unless the money is there already, or is awaited no longer.

    Raises:
        Refusal: `not_found` for another organisation; `payment_method_unavailable`; `amount_differs`.
    """
    if caller is not None and caller.organization_id != payer["organization_id"]:
        raise not_found("order")
    terms = app.remittances.get(method)
    if terms is None:
        raise invalid(
            "payment_method_unavailable", f"Payment by {method} is not open. Choose another method.", "method"
        )
    with app.database.transaction() as tx:
        intent = {
            "id": new_id("pay"), "order_id": order_id, "order_number": order_number, "method": method,
            "organization_id": payer["organization_id"], "user_id": payer["user_id"], **amount,
        }  # fmt: skip
        if storage.add_intent(tx, intent, State.REQUIRES_ACTION):
            remittance_storage.add_instructions(
                tx, {**dates_of(tx, terms, method), **first_instructions(intent["id"], order_number, payer)}
            )
            tell_payer(app, tx, order_id, 0)
        else:
            _change(app, tx, intent, terms)
    return get_intent(app, caller, order_id=order_id)


def _change(app: App, tx: Transaction, wanted: dict[str, Any], terms: Terms) -> None:
    """Another method for an intent that still waits for money; an intent that is beyond that stays as it is."""
    known = remittance_storage.lock_intent(tx, wanted["order_id"])
    if known is None or known["organization_id"] != wanted["organization_id"]:
        raise not_found("order")
    if any(known[name] != wanted[name] for name in ("amount_minor", "currency")):
        raise conflict("amount_differs", "This order is being paid with another amount. Place a new order.")
    if known["state"] != State.REQUIRES_ACTION or known["method"] == wanted["method"]:
        return
    remittance_storage.issue_again(tx, known["id"], dates_of(tx, terms, wanted["method"]))
    tell_payer(app, tx, wanted["order_id"], remittance_storage.received_minor(tx, known["id"]))


def dates_of(tx: Transaction, terms: Terms, method: str) -> dict[str, Any]:
    """By which method money is awaited from now on, and until when."""
    expires_at = terms.expires_at(tx.now)
    return {
        "method": method,
        "issued_at": tx.now,
        "due_on": terms.due_on(tx.now),
        "expires_at": expires_at,
        "next_step_at": terms.next_reminder_at(tx.now, tx.now) or expires_at,
    }


def first_instructions(intent_id: str, order_number: str, payer: dict[str, str]) -> dict[str, Any]:
    """The reference of an intent that had no instructions before, and whom the mails go to."""
    return {
        "intent_id": intent_id,
        "reference": reference_of(order_number),
        "organization_name": payer["organization"],
        "buyer_email": payer["email"],
        "buyer_name": payer["name"],
        "buyer_language": payer["language"],
    }


def tell_payer(app: App, tx: Transaction, order_id: str, received_minor: int) -> None:
    """Say how to pay by what was just written."""
    awaited: Row | None = remittance_storage.find_instructions(tx, order_id)
    assert awaited is not None, "written in this transaction"
    tx.emit(messages.INSTRUCTIONS_ISSUED, told_to_payer(app, awaited, received_minor))
