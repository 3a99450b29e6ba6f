"""Post the expiry of cards whose time is over. That they cannot be claimed any more does not wait for this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import CardState
from credits.messages import CARD_EXPIRED
from credits.storage import cards, ledger
from credits.use_cases.views import card_ended

#: Cards in one transaction, and transactions in one run, so that both end.
_BATCH = 100
_MOST_BATCHES = 50


def expire_cards(app: App) -> int:
    """Expire what is due; several processes share the cards without overlapping.

    Returns:
        How many cards expired.
    """
    expired = 0
    for _ in range(_MOST_BATCHES):
        with app.database.transaction() as tx:
            due = cards.lock_due(tx, _BATCH)
            for card in due:
                _expire(tx, card)
        expired += len(due)
        if len(due) < _BATCH:
            break
    return expired


def _expire(tx: Transaction, card: Mapping[str, Any]) -> None:
    cards.end(tx, card["id"], CardState.EXPIRED)
    ledger.post(
        tx, "expiry", cause=f"expiry:{card['id']}", source=ledger.card_account(card["id"]), destination=ledger.EXPIRY,
        amount=card["credits"], memo=f"Card {codes.masked(card['number'])} expired", order_id=card["order_id"],
        card_id=card["id"],
    )  # fmt: skip
    tx.emit(CARD_EXPIRED, {**card_ended(card), "expired_at": card["expires_at"]})
