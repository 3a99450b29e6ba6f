"""How many credits an organisation has."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from credits.bootstrap import App
from credits.domain.crediting import MINUTES_PER_CREDIT
from credits.storage import ledger


def get_balance(app: App, caller: Identity) -> dict[str, Any]:
    """The balance of the caller's organisation, for every user of it (mission, clause 12)."""
    with app.database.reading() as reader:
        balance = ledger.balance(reader, ledger.organization_account(caller.organization_id))
    return {"balance": balance, "unit": "credit", "minutes_per_credit": MINUTES_PER_CREDIT}
