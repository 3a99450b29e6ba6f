"""What an issuer does with a card: the frame that freezing, binding and the like have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import Schema

from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from credits.bootstrap import App
from credits.domain.cards import CardState, FrozenBy
from credits.storage import cards
from credits.storage.cards import CardRow
from credits.use_cases.replies import replayed
from credits.use_cases.views import state_of
from kernel.errors import Refusal, conflict, not_found


def change_card(
    app: App, caller: Identity, action: str, change: Callable[[Transaction, CardRow], dict[str, Any]], *,
    idempotency_key: str, card_id: str, answered: Schema, wish: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Change a card that the caller's organisation issued, once for each key, with a line in the audit trail.

    The card is locked first: a claim, a recall and this wait for each other, and each sees what the one before left.

    Args:
        app: the service's parts.
        caller: a buyer or admin of the issuer.
        action: what is done, as the audit trail has it: ``card.<action>``.
        change: does it to the locked card, and says the answer.
        idempotency_key: the client's; scoped to the organisation.
        card_id: the card.
        answered: writes the answer that is kept.
        wish: what is asked for beyond the card, for the key and the audit trail.

    Raises:
        Refusal: `forbidden`; `not_found` for everybody but the issuer; `card_disputed`; what `change` raises;
            `idempotency_key_reused`, `idempotency_key_in_flight`.
    """
    caller.require("buyer", "admin")
    asked = dict(wish or {})
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request_hash(f"card.{action}", {"card_id": card_id, **asked})):
            return replayed(known, answered)
        card = cards.lock_issued(tx, card_id, caller.organization_id)
        if card is None:
            raise not_found("card")
        refuse_disputed(card, tx)
        answer = change(tx, card)
        tx.audit(caller, f"card.{action}", card_id, caller.organization_id, **asked)
        keys.finish(idempotency_key, answered.dump(answer))
    return {**answer, "replayed": False}


def refuse_disputed(card: Mapping[str, Any], tx: Transaction) -> None:
    """Refuse to do anything with a card that a dispute has frozen.

    Raises:
        Refusal: `card_disputed`.
    """
    if card["frozen_by"] == FrozenBy.DISPUTE and state_of(card, tx.now) is CardState.FROZEN:
        raise conflict(
            "card_disputed",
            "The payment for this card is disputed at the payer's bank: it stays as it is until that is decided.",
        )


def require_state(card: Mapping[str, Any], tx: Transaction, *states: CardState) -> CardState:
    """The state of a card as seen now, if it is one of some.

    Raises:
        Refusal: `card_` and the state that it has.
    """
    state = state_of(card, tx.now)
    if state not in states:
        raise wrong_state(state)
    return state


def wrong_state(state: CardState) -> Refusal:
    """The card is not in a state in which that can be done."""
    return conflict(f"card_{state}", f"This card is {state}, so that cannot be done with it.")
