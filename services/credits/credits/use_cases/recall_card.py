"""Recall a card: its issuer takes it back while nobody has claimed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import HOLDING, CardState, FrozenBy
from credits.domain.validity import expiry
from credits.messages import CARD_RECALLED, Recalled
from credits.storage import cards, ledger
from credits.use_cases import holdings
from credits.use_cases.own_cards import refuse_disputed
from credits.use_cases.replies import replayed
from credits.use_cases.views import card_ended, card_view, state_of
from kernel.errors import Refusal, conflict, not_found

_ANSWER = Recalled()


def recall_card(app: App, caller: Identity, *, idempotency_key: str, card_id: str) -> dict[str, Any]:
    """Bring the credits of a card that the caller's organisation issued to its own balance; the claim code is dead.

    Args:
        app: the service's parts.
        caller: a buyer or admin of the issuer.
        idempotency_key: the client's; scoped to the organisation.
        card_id: the card.

    Raises:
        Refusal: `forbidden`; `not_found` for everybody but the issuer; `card_claimed`, `card_recalled`,
            `card_expired`, `card_split`; `card_frozen_by_staff`, `card_disputed`; `idempotency_key_reused`,
            `idempotency_key_in_flight`.
    """
    caller.require("buyer", "admin")
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request_hash("recall_card", {"card_id": card_id})):
            return replayed(known, _ANSWER)
        card = cards.lock_issued(tx, card_id, caller.organization_id)
        if card is None:
            raise not_found("card")
        answer = _recall(tx, caller, card)
        tx.audit(caller, "card.recalled", card_id, caller.organization_id, credits=card["credits"])
        keys.finish(idempotency_key, _ANSWER.dump(answer))
    return {**answer, "replayed": False}


def _recall(tx: Transaction, caller: Identity, card: Mapping[str, Any]) -> dict[str, Any]:
    refuse_disputed(card, tx)
    state = state_of(card, tx.now)
    if card["frozen_by"] == FrozenBy.STAFF and state is CardState.FROZEN:
        raise conflict("card_frozen_by_staff", "Our staff have frozen this card. Ask them.")
    if state not in HOLDING or not cards.end(tx, card["id"], CardState.RECALLED):
        raise _too_late(state)
    account = ledger.open_account(tx, ledger.organization_account(caller.organization_id))
    ledger.post(
        tx, "recall", cause=f"recall:{card['id']}", source=ledger.card_account(card["id"]), destination=account,
        amount=card["credits"], memo=f"Card {codes.masked(card['number'])} recalled", order_id=card["order_id"],
        card_id=card["id"], expires_at=expiry(card["credits_valid_days"], tx.now),
    )  # fmt: skip
    tx.emit(CARD_RECALLED, {**card_ended(card), "recalled_at": tx.now, "reason": "issuer"})
    recalled = {**card, "state": CardState.RECALLED}
    return {
        "card": card_view(recalled, caller.organization_id, tx.now),
        "credits": card["credits"],
        "balance": holdings.lock(tx, caller.organization_id).balance,
    }


def _too_late(state: CardState) -> Refusal:
    return conflict(f"card_{state}", f"This card is {state} already; only one that nobody has claimed can be recalled.")
