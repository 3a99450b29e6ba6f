"""Pay by card what was to be paid by wire or check, as long as none of the money has come that way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import not_found
from kernel.money import Money
from payments import remittance_storage, storage
from payments.domain.provider import Attempt
from payments.domain.states import State
from payments.use_cases.get_intent import get_intent
from payments.use_cases.record_outcome import record_outcome
from payments.use_cases.settle_payments import settle_attempt

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Transaction
    from payments.bootstrap import App


def pay_by_card(
    app: App, caller: Identity | None, *, order_id: str, attempt_id: str, provider_token: str
) -> dict[str, Any]:
    """Charge a card for an order that awaits a wire or check, once for each `attempt_id`.

    The intent's row decides: while an attempt is live no money can be recorded, and once money has come no attempt
    begins. After a decline the money is awaited as before.

    Args:
        app: the service's.
        caller: must be of the payer's organisation; None for a service acting on its own.
        order_id: the order.
        attempt_id: the caller's name for this try; also the provider idempotency key.
        provider_token: the card, as the provider named it to the browser.

    Returns:
        The intent: `captured`, `processing`, or `requires_action` if nothing was charged, with the `decline` if the
        card was declined.

    Raises:
        Refusal: `not_found`: nothing is awaited for the order, or it is another organisation's.
    """
    with app.database.transaction() as tx:
        intent = remittance_storage.lock_intent(tx, order_id)
        if intent is None or (caller is not None and caller.organization_id != intent["organization_id"]):
            raise not_found("payment")
        wanted = Money(intent["amount_minor"], intent["currency"])
        attempt = Attempt(attempt_id, intent["id"], order_id, attempt_id, provider_token, wanted, checks=0)
        new = _begin(app, tx, attempt, State(intent["state"]), intent["round"])
        due = None if new else storage.claim_due_attempt(tx, app.lease, order_id)
    if new:
        record_outcome(app, attempt, app.provider.charge(attempt.key, attempt.token, wanted, order_id))
    elif due is not None:
        settle_attempt(app, due)
    return get_intent(app, caller, order_id=order_id)


def _begin(app: App, tx: Transaction, attempt: Attempt, state: State, round: int) -> bool:
    """Turn a locked intent over to a card; False if that was done before, or must not be."""
    awaited = remittance_storage.find_instructions(tx, attempt.order_id)
    if awaited is None or state is not State.REQUIRES_ACTION or awaited["expires_at"] <= tx.now:
        return False
    if remittance_storage.received_minor(tx, attempt.intent_id) or storage.has_attempt(tx, attempt.id):
        return False
    remittance_storage.turn_to_card(tx, attempt.intent_id)
    storage.add_attempt(tx, attempt, app.lease, round)
    return True
