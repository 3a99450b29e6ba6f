"""Collect the amount of an order, once.

Intent and attempt are committed first, then the provider is asked outside of any transaction, then the result is
committed with its event. Whatever dies in between is settled from the attempt's row (`settle_payments`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.persistence import IntegrityError
from kernel.errors import Kind, Refusal, conflict, invalid, not_found
from kernel.ids import new_id
from kernel.money import Money
from payments import storage
from payments.domain.provider import Attempt, Captured
from payments.domain.states import State
from payments.use_cases.get_intent import get_intent
from payments.use_cases.payment_methods import choose
from payments.use_cases.record_outcome import record_outcome
from payments.use_cases.settle_payments import settle_attempt

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Transaction
    from payments.bootstrap import App


def collect(
    app: App,
    caller: Identity | None,
    *,
    order_id: str,
    order_number: str,
    amount: dict[str, Any],
    method: str,
    payer: dict[str, str],
    provider_token: str | None = None,
    payment_method_id: str | None = None,
    save: bool = False,
) -> dict[str, Any]:
    """Collect, or resume collecting, or answer what is known: an order is never charged twice.

    The first call decides about the card. Later ones never use their own token, not even after a decline: another
    card needs another order for now.

    Args:
        app: the service's.
        caller: must be of the payer's organisation; None for a service acting on its own.
        order_id: what to collect for; also the reference in the provider's book.
        order_number: for people.
        amount: money as a dictionary.
        method: ``card``.
        payer: for whom (organization_id) and who asked (user_id).
        provider_token: the card, as the provider named it to the browser.
        payment_method_id: a saved card instead.
        save: whether the card is to be saved once it is charged.

    Returns:
        The intent: `captured`, `failed` with its `decline`, or `processing` while the provider's answer is not known.

    Raises:
        Refusal: `not_found` for another organisation; `payment_method_unknown`, `card_expired`; `amount_differs` if the
            order was to be collected with another amount before.
    """
    if caller is not None and caller.organization_id != payer["organization_id"]:
        raise not_found("order")
    token = _token(app, order_id, payer["organization_id"], provider_token, payment_method_id)
    wanted = Money(amount["amount_minor"], amount["currency"])
    intent_id, key = new_id("pay"), new_id("att")
    attempt = Attempt(key, intent_id, order_id, key, token, wanted, checks=0, save=save)
    known_as = {"order_number": order_number, "method": method}
    due = None
    if _begin(app, attempt, payer, known_as):
        outcome = record_outcome(app, attempt, app.provider.charge(attempt.key, attempt.token, wanted, order_id))
        if isinstance(outcome, Captured):  # nobody can have settled it otherwise: the provider has the money
            return _captured(attempt, outcome)
    else:
        with app.database.transaction() as tx:
            due = _resume(app, tx, attempt, payer)
    if due is not None:
        settle_attempt(app, due)
    return get_intent(app, caller, order_id=order_id)


def _token(app: App, order_id: str, organization_id: str, token: str | None, method_id: str | None) -> str:
    """What stands for the card at the provider. A payment that has begun goes on with what it began with."""
    if token is not None and method_id is None:
        return token
    with app.database.reading() as reader:
        try:
            return str(choose(reader, method_id or "", organization_id)["provider_card_id"])
        except Refusal as refusal:
            if storage.find_intent(reader, order_id) is not None:
                return ""
            if refusal.kind is not Kind.NOT_FOUND:
                raise
    raise invalid("payment_method_unknown", "There is no such saved card. Enter the card.", "payment_method_id")


def _captured(attempt: Attempt, captured: Captured) -> dict[str, Any]:
    """What `get_intent` would answer."""
    return {
        "intent_id": attempt.intent_id,
        "order_id": attempt.order_id,
        "method": "card",
        "state": State.CAPTURED,
        "decline": None,
        "card": {"brand": captured.card.brand, "last4": captured.card.last4},
        "instructions": None,
        "next_action": None,
    }


def _begin(app: App, attempt: Attempt, payer: dict[str, str], known_as: dict[str, str]) -> bool:
    """Write intent and attempt; False if the order has an intent already."""
    values = {
        "id": attempt.intent_id,
        "order_id": attempt.order_id,
        **known_as,
        "organization_id": payer["organization_id"],
        "user_id": payer["user_id"],
        **attempt.amount.as_dict(),
    }
    try:
        with app.database.transaction() as tx:
            storage.begin_intent(tx, values)
            storage.add_attempt(tx, attempt, app.lease)
    except IntegrityError as error:
        if not storage.has_intent(error):
            raise
        return False
    return True


def _resume(app: App, tx: Transaction, asked: Attempt, payer: dict[str, str]) -> Attempt | None:
    """Take over the order's attempt if nobody is asking the provider about it just now."""
    known = storage.find_intent(tx, asked.order_id)
    if known is None or known["organization_id"] != payer["organization_id"]:
        raise not_found("order")
    if Money(known["amount_minor"], known["currency"]) != asked.amount:
        raise conflict("amount_differs", "This order is being paid with another amount. Place a new order.")
    return storage.claim_due_attempt(tx, app.lease, asked.order_id)
