"""Give up collecting for an order, unless the money is taken already: one of the two happens, never both.

The wish is committed first; from then on the attempt is never charged again by us, and whoever settles it asks the
provider to void its key. The provider decides which came first, the charge or the void.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import not_found
from kernel.ids import new_id
from payments import messages, remittance_storage, storage
from payments.domain.provider import Attempt
from payments.domain.states import State
from payments.use_cases.end_remittance import set_aside
from payments.use_cases.get_intent import get_intent
from payments.use_cases.settle_payments import settle_attempt

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Transaction
    from payments.bootstrap import App


def void(
    app: App,
    caller: Identity | None,
    *,
    order_id: str,
    order_number: str,
    amount: dict[str, Any],
    method: str,
    payer: dict[str, str],
) -> dict[str, Any]:
    """Have nothing collected for an order any more; safe to ask again.

    An order that nothing was ever asked for is kept in mind as voided, so that a request to collect that comes late
    (it may still be on its way) finds it so.

    Args:
        app: the service's.
        caller: must be of the payer's organisation; None for a service acting on its own.
        order_id: the order.
        order_number: for people.
        amount: money as a dictionary: what was to be collected.
        method: ``card``, ``wire`` or ``check``.
        payer: for whom (organization_id) and who ordered (user_id).

    Returns:
        The intent: `voided`; `captured` if the money was taken before; `failed` if the card was declined before;
        `processing` while the provider has not answered: it is asked until it has.

    Raises:
        Refusal: `not_found` for another organisation.
    """
    if caller is not None and caller.organization_id != payer["organization_id"]:
        raise not_found("order")
    intent = {
        "id": new_id("pay"),
        "order_id": order_id,
        "order_number": order_number,
        "organization_id": payer["organization_id"],
        "user_id": payer["user_id"],
        "method": method,
        **amount,
    }
    with app.database.transaction() as tx:
        attempt = _give_up(app, tx, intent)
    if attempt is not None:
        settle_attempt(app, attempt)
    return get_intent(app, caller, order_id=order_id)


def _give_up(app: App, tx: Transaction, intent: dict[str, Any]) -> Attempt | None:
    """The attempt that the provider must be asked to void; None if there is nothing to ask it."""
    order_id = intent["order_id"]
    if storage.add_intent(tx, intent, State.VOIDED):
        tx.emit(messages.VOIDED, {"order_id": order_id, "intent_id": intent["id"]})
        return None
    known = storage.find_intent(tx, order_id)
    if known is None or known["organization_id"] != intent["organization_id"]:
        raise not_found("order")
    if known["state"] == State.REQUIRES_ACTION:
        _stop_waiting(tx, order_id)
        return None
    attempt = storage.claim_to_void(tx, order_id, app.lease)
    if attempt is None:
        _stop_between_attempts(tx, order_id)
    return attempt


def _stop_waiting(tx: Transaction, order_id: str) -> None:
    """Await no wire or check any more; what has come in part is set aside.

    The lock decides: if all of it came first, or a card is being tried by now, the intent stays as it is. No attempt
    may be claimed under this lock, since whoever settles one takes the two the other way round.
    """
    intent = remittance_storage.lock_intent(tx, order_id)
    if intent is not None and intent["state"] == State.REQUIRES_ACTION:
        remittance_storage.end(tx, intent["id"], State.VOIDED)
        set_aside(tx, intent["id"])
        tx.emit(messages.VOIDED, {"order_id": order_id, "intent_id": intent["id"]})


def _stop_between_attempts(tx: Transaction, order_id: str) -> None:
    """One card was given up for another way to pay, which has not begun: it never will."""
    intent = remittance_storage.lock_intent(tx, order_id)
    if intent is None or intent["state"] != State.PROCESSING or storage.has_live_attempt(tx, intent["id"]):
        return
    remittance_storage.end(tx, intent["id"], State.VOIDED)
    tx.emit(messages.VOIDED, {"order_id": order_id, "intent_id": intent["id"]})
