"""Remind buyers of quotes that are about to expire, and note those that have.

Nothing waits for this sweep to find a quote expired: whoever reads or converts one looks at the time.
"""

from __future__ import annotations

from datetime import timedelta

from cart import storage
from cart.bootstrap import App
from cart.domain.order import State
from cart.domain.quote import at
from cart.messages import QUOTE_EXPIRING
from cart.use_cases.views import quote_event

#: Quotes in one transaction.
_QUOTES_AT_ONCE = 50


def chase_quotes(app: App) -> None:
    """Remind of, or close, every quote that is due; several processes share them without overlapping."""
    while _chase_some(app) == _QUOTES_AT_ONCE:
        pass


def _chase_some(app: App) -> int:
    with app.database.transaction() as transaction:
        remind_until = transaction.now + timedelta(days=app.settings.quote_reminder_days)
        due = storage.quotes_to_chase(transaction, remind_until, _QUOTES_AT_ONCE)
        for quote in due:
            if at(quote, transaction.now).state is State.EXPIRED:
                storage.move_order(transaction, quote.id, State.EXPIRED)
            else:
                storage.note_reminder(transaction, quote.id)
                transaction.emit(QUOTE_EXPIRING, quote_event(quote))
    return len(due)
