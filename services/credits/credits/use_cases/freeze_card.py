"""Freeze a card, so that nobody can claim it for the time being; and undo that."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain.cards import CardState, FrozenBy
from credits.messages import CardChanged
from credits.storage import cards
from credits.storage.cards import CardRow
from credits.use_cases.own_cards import change_card, require_state, wrong_state
from credits.use_cases.views import card_view, state_of
from kernel.errors import conflict

_ANSWER = CardChanged()


def freeze_card(app: App, caller: Identity, *, idempotency_key: str, card_id: str) -> dict[str, Any]:
    """Keep a card from being claimed until its issuer says otherwise. It keeps its credits, and its day of expiry.

    Raises:
        Refusal: as `change_card`; `card_frozen`, `card_claimed`, `card_recalled`, `card_expired`, `card_split`.
    """

    def freeze(tx: Transaction, card: CardRow) -> dict[str, Any]:
        require_state(card, tx, CardState.ISSUED)
        change = {"state": CardState.FROZEN, "frozen_by": FrozenBy.ISSUER}
        cards.change(tx, card["id"], change)
        return {"card": card_view({**card, **change}, caller.organization_id, tx.now)}

    return change_card(
        app, caller, "frozen", freeze, idempotency_key=idempotency_key, card_id=card_id, answered=_ANSWER
    )  # fmt: skip


def unfreeze_card(app: App, caller: Identity, *, idempotency_key: str, card_id: str) -> dict[str, Any]:
    """Let a card be claimed again.

    Raises:
        Refusal: as `change_card`; `card_not_frozen`; `card_frozen_by_staff`: it is not the issuer's to undo;
            `card_claimed`, `card_recalled`, `card_expired`, `card_split`.
    """

    def unfreeze(tx: Transaction, card: CardRow) -> dict[str, Any]:
        state = state_of(card, tx.now)
        if state is CardState.ISSUED:
            raise conflict("card_not_frozen", "This card is not frozen.")
        if state is not CardState.FROZEN:
            raise wrong_state(state)
        if card["frozen_by"] == FrozenBy.STAFF:
            raise conflict("card_frozen_by_staff", "Our staff have frozen this card. Ask them.")
        change = {"state": CardState.ISSUED, "frozen_by": None}
        cards.change(tx, card["id"], change)
        return {"card": card_view({**card, **change}, caller.organization_id, tx.now)}

    return change_card(
        app, caller, "unfrozen", unfreeze, idempotency_key=idempotency_key, card_id=card_id, answered=_ANSWER
    )  # fmt: skip
