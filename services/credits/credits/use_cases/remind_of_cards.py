"""Remind buyers of cards that nobody has claimed and that will expire."""

from __future__ import annotations

from credits.bootstrap import App
from credits.messages import CARD_EXPIRING
from credits.storage import cards
from credits.use_cases.views import card_ended

#: Cards in one transaction, and transactions in one run, so that both end.
_BATCH = 100
_MOST_BATCHES = 50


def remind_of_cards(app: App) -> int:
    """Remind of what is due, once a card; several processes share the cards without overlapping.

    Returns:
        How many reminders were sent.
    """
    reminded = 0
    for _ in range(_MOST_BATCHES):
        with app.database.transaction() as tx:
            due = cards.lock_to_remind(tx, _BATCH)
            for card in due:
                cards.change(tx, card["id"], {"remind_at": None})
                tx.emit(
                    CARD_EXPIRING,
                    {**card_ended(card), "expires_at": card["expires_at"], "order_number": card["order_number"]},
                )
        reminded += len(due)
        if len(due) < _BATCH:
            break
    return reminded
