"""Post the expiry of credits whose time is over. That they cannot be used any more does not wait for this."""

from __future__ import annotations

from credits.bootstrap import App
from credits.storage import ledger
from credits.use_cases import holdings

#: Organisations in one run, so that it ends.
_MOST = 1000


def expire_credits(app: App) -> int:
    """Expire what is due, an organisation at a time; safe in several processes at once.

    Returns:
        How many organisations were looked at.
    """
    with app.database.reading() as reader:
        accounts = ledger.accounts_with_due_lots(reader, _MOST)
    for account in accounts:
        with app.database.transaction() as tx:
            holdings.lock(tx, ledger.owner_of(account))
    return len(accounts)
