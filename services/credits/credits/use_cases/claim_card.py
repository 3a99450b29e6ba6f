"""Claim a card: bind it to an organisation and post its credits, in one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import CardState
from credits.domain.validity import expiry
from credits.messages import CARD_CLAIMED, Claimed
from credits.storage import cards, ledger
from credits.use_cases import holdings
from credits.use_cases.bearer import Guesses, not_claimable, read_bearer, require_bound_to
from credits.use_cases.replies import replayed
from credits.use_cases.views import card_view

_ANSWER = Claimed()


def claim_card(
    app: App, caller: Identity, *, idempotency_key: str, number: str, sealed_code: str, client_address: str
) -> dict[str, Any]:
    """Move the credits of a card to the caller's organisation.

    A refusal keeps nothing: the same key may come again with the code typed right.

    Args:
        app: the service's parts.
        caller: a buyer or admin.
        idempotency_key: the client's; scoped to the organisation.
        number: the card's, as typed.
        sealed_code: the claim code as typed, sealed for credits.
        client_address: where the request came from.

    Raises:
        Refusal: `forbidden`; `card_not_claimable`, whatever is wrong with the card or the code; `too_many_attempts`
            after ten of those in ten minutes; `card_not_for_you`: the card is bound to others;
            `idempotency_key_reused`, `idempotency_key_in_flight`.
    """
    caller.require("buyer", "admin")
    bearer = read_bearer(app, number, sealed_code)
    # the sealed value differs each time it is sealed, so the MAC stands for the code; neither can be claimed with
    request = request_hash("claim_card", {"number": bearer.number, "code_mac": bearer.code_mac})
    guesses = Guesses(app, caller, client_address)
    with guesses.counted(), app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request):
            return replayed(known, _ANSWER)
        guesses.check(tx)
        card = bearer.require_claimable(cards.lock_by_number(tx, bearer.number), tx.now)
        require_bound_to(card, caller)
        answer = _claim(tx, caller, card)
        tx.audit(caller, "card.claimed", card["id"], caller.organization_id, credits=card["credits"])
        keys.finish(idempotency_key, _ANSWER.dump(answer))
    return {**answer, "replayed": False}


def _claim(tx: Transaction, caller: Identity, card: Mapping[str, Any]) -> dict[str, Any]:
    claimant = {
        "claimant_id": caller.organization_id,
        "claimant_name": caller.organization,
        "claimed_by_user_id": caller.user_id,
    }
    if not cards.mark_claimed(tx, card["id"], claimant):
        raise not_claimable()
    account = ledger.open_account(tx, ledger.organization_account(caller.organization_id))
    ledger.post(
        tx, "claim", cause=f"claim:{card['id']}", source=ledger.card_account(card["id"]), destination=account,
        amount=card["credits"], memo=f"Card {codes.masked(card['number'])} claimed", card_id=card["id"],
        expires_at=expiry(card["credits_valid_days"], tx.now),
    )  # fmt: skip
    tx.emit(CARD_CLAIMED, _card_claimed(tx, caller, card))
    claimed = {**card, **claimant, "state": CardState.CLAIMED, "claimed_at": tx.now}
    return {
        "card": card_view(claimed, caller.organization_id, tx.now),
        "credits": card["credits"],
        "balance": holdings.lock(tx, caller.organization_id).balance,
    }


def _card_claimed(tx: Transaction, caller: Identity, card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "card_id": card["id"],
        "number_masked": codes.masked(card["number"]),
        "credits": card["credits"],
        "claimed_at": tx.now,
        "issuer": {"id": card["issuer_id"], "name": card["issuer_name"]},
        "buyer": {"email": card["buyer_email"], "name": card["buyer_name"], "language": card["buyer_language"]},
        "claimant": {"id": caller.organization_id, "name": caller.organization},
        "order_id": card["order_id"],
    }
