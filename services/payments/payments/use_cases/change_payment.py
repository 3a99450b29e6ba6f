"""Have an order paid in another way while a card is under way: that card is given up first, the new way begins after.

The provider decides whether the card or its void came first (docs/adr/0009), so that at most one attempt is live and
at most one captures. Each change has a number, its round: one that comes late, when a later one has begun, changes
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import conflict, invalid, not_found
from kernel.ids import new_id
from kernel.money import Money
from payments import remittance_storage, storage
from payments.domain.provider import Attempt, Unknown
from payments.domain.remittances import METHODS
from payments.domain.states import State
from payments.use_cases.get_intent import get_intent
from payments.use_cases.issue_instructions import dates_of, first_instructions, tell_payer
from payments.use_cases.payment_methods import choose
from payments.use_cases.record_outcome import record_outcome
from payments.use_cases.settle_payments import settle_attempt

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App

#: How often an attempt that slipped in between is given up too, before the caller is asked to come again.
_MOST_GIVEN_UP = 3


class _SlippedInError(Exception):
    """An attempt of an earlier round has begun after all."""


def change_payment(
    app: App,
    caller: Identity | None,
    *,
    order_id: str,
    order_number: str,
    amount: dict[str, Any],
    method: str,
    payer: dict[str, str],
    round: int,
    attempt_id: str,
    provider_token: str | None = None,
    payment_method_id: str | None = None,
    save: bool = False,
) -> dict[str, Any]:
    """Give the card up that is under way for an order, and pay by another card, or await a wire or check.

    Safe to ask again: a round begins once.

    Args:
        app: the service's.
        caller: must be of the payer's organisation; None for a service acting on its own.
        order_id, order_number: what is paid for.
        amount: money as a dictionary.
        method: ``card``, ``wire`` or ``check``.
        payer: for whom, who asked, and whom to write to.
        round: 1 for the first change of the order, and one more with each.
        attempt_id: the caller's name for the try by card; also the provider idempotency key.
        provider_token, payment_method_id: the other card, one of the two.
        save: whether the other card is to be saved once it is charged.

    Returns:
        The intent: `captured`, by the first card if that was faster than its void; `failed`; `requires_action` with
        its `instructions`; `processing` while the provider has not answered, or waits for the payer.

    Raises:
        Refusal: `not_found` for another organisation; `payment_method_unavailable`; `amount_differs`;
            `card_expired`.
    """
    if caller is not None and caller.organization_id != payer["organization_id"]:
        raise not_found("order")
    if method in METHODS and method not in app.remittances:
        raise invalid(
            "payment_method_unavailable", f"Payment by {method} is not open. Choose another method.", "method"
        )
    values = {
        "id": new_id("pay"), "order_id": order_id, "order_number": order_number, "method": method, "round": round,
        "organization_id": payer["organization_id"], "user_id": payer["user_id"], **amount,
    }  # fmt: skip
    for _ in range(_MOST_GIVEN_UP):
        with app.database.transaction() as tx:
            _check(storage.find_intent(tx, order_id), values)
            under_way = storage.claim_to_replace(tx, order_id, round, app.lease)
        if under_way is not None and isinstance(settle_attempt(app, under_way), Unknown):
            break
        try:
            with app.database.transaction() as tx:
                new = _begin(app, tx, values, payer, (attempt_id, provider_token, payment_method_id), save)
                due = None if new is not None else storage.claim_due_attempt(tx, app.lease, order_id)
        except _SlippedInError:
            continue
        if new is not None:
            record_outcome(app, new, app.provider.charge(new.key, new.token, new.amount, order_id))
        elif due is not None:
            settle_attempt(app, due)
        break
    return get_intent(app, caller, order_id=order_id)


def _check(known: Row | None, values: dict[str, Any]) -> None:
    if known is not None and known["organization_id"] != values["organization_id"]:
        raise not_found("order")
    if known is not None and any(known[name] != values[name] for name in ("amount_minor", "currency")):
        raise conflict("amount_differs", "This order is being paid with another amount. Place a new order.")


def _begin(
    app: App,
    tx: Transaction,
    values: dict[str, Any],
    payer: dict[str, str],
    card: tuple[str, str | None, str | None],
    save: bool,
) -> Attempt | None:
    """The attempt to charge now; None if there is none: money is awaited, or the round began before."""
    intent_id = _begin_intent(app, tx, values, payer)
    attempt_id, token, method_id = card
    if intent_id is None or values["method"] != "card":
        return None
    if method_id is not None:
        token = choose(tx, method_id, values["organization_id"])["provider_card_id"]
    assert token is not None, "the request has one of the two"
    amount = Money(values["amount_minor"], values["currency"])
    attempt = Attempt(attempt_id, intent_id, values["order_id"], attempt_id, token, amount, checks=0, save=save)
    storage.add_attempt(tx, attempt, app.lease, values["round"])
    return attempt


def _begin_intent(app: App, tx: Transaction, values: dict[str, Any], payer: dict[str, str]) -> str | None:
    """Have the order's intent follow this round; None if it did before, or must not.

    Raises:
        _SlippedInError: an attempt is under way.
    """
    order_id, method = values["order_id"], values["method"]
    state = State.PROCESSING if method == "card" else State.REQUIRES_ACTION
    if storage.add_intent(tx, values, state):  # the request to collect has not come yet: it will find this one
        if method != "card":
            _instruct(app, tx, values["id"], values, payer)
        return str(values["id"])
    intent = remittance_storage.lock_intent(tx, order_id)
    if intent is None or intent["state"] not in (State.PROCESSING, State.REQUIRES_ACTION):
        return None
    if intent["round"] >= values["round"]:
        return None
    if storage.has_live_attempt(tx, intent["id"]):
        raise _SlippedInError
    awaited = remittance_storage.find_instructions(tx, order_id)
    if awaited is not None and not _may_be_changed(tx, intent, awaited, method):
        return None
    remittance_storage.enter_round(tx, intent["id"], values["round"])
    if method == "card":
        remittance_storage.turn_to_card(tx, intent["id"])
    elif awaited is None:
        remittance_storage.turn_to_remittance(tx, intent["id"], method)
        _instruct(app, tx, intent["id"], values, payer)
    elif awaited["method"] != method:
        remittance_storage.issue_again(tx, intent["id"], dates_of(tx, app.remittances[method], method))
        tell_payer(app, tx, order_id, remittance_storage.received_minor(tx, intent["id"]))
    return str(intent["id"])


def _may_be_changed(tx: Transaction, intent: Row, awaited: Row, method: str) -> bool:
    """Money that is overdue ends; once some of it has come, no card is charged for all of it."""
    if awaited["expires_at"] <= tx.now:
        return False
    return method != "card" or not remittance_storage.received_minor(tx, intent["id"])


def _instruct(app: App, tx: Transaction, intent_id: str, values: dict[str, Any], payer: dict[str, str]) -> None:
    method = values["method"]
    remittance_storage.add_instructions(
        tx,
        {
            **dates_of(tx, app.remittances[method], method),
            **first_instructions(intent_id, values["order_number"], payer),
        },
    )
    tell_payer(app, tx, values["order_id"], 0)
