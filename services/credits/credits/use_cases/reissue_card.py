"""Reissue a card: a new claim code for the buyer, and the old one is dead."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import CardState
from credits.messages import CARD_REISSUED, CardChanged
from credits.storage import cards
from credits.storage.cards import CardRow
from credits.use_cases.making_cards import order_of
from credits.use_cases.own_cards import change_card, require_state
from credits.use_cases.views import card_view

_ANSWER = CardChanged()


def reissue_card(app: App, caller: Identity, *, idempotency_key: str, card_id: str) -> dict[str, Any]:
    """Give a card another claim code, which is mailed to the buyer; number, credits and expiry stay as they are.

    The old code ends with the transaction that makes the new one: at no moment are both good, or none.

    Raises:
        Refusal: as `change_card`; `card_claimed`, `card_recalled`, `card_expired`, `card_split`.
    """

    def reissue(tx: Transaction, card: CardRow) -> dict[str, Any]:
        require_state(card, tx, CardState.ISSUED, CardState.FROZEN)
        code, issue = codes.new_claim_code(), card["code_issue"] + 1
        change = {"code_mac": codes.code_mac(app.code_pepper, card["number"], code), "code_issue": issue}
        cards.change(tx, card["id"], change)
        tx.emit(
            CARD_REISSUED,
            {
                "card_id": card["id"],
                "issue": issue,
                "number": card["number"],
                "sealed_code": app.sealer.seal(code),
                "credits": card["credits"],
                "expires_at": card["expires_at"],
                **order_of(card),
            },
        )
        return {"card": card_view(card, caller.organization_id, tx.now)}

    return change_card(
        app, caller, "reissued", reissue, idempotency_key=idempotency_key, card_id=card_id, answered=_ANSWER
    )  # fmt: skip
