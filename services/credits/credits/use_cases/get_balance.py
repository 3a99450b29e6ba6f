"""How many credits an organisation has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chassis.identity import Identity
from credits.bootstrap import App
from credits.domain.crediting import MINUTES_PER_CREDIT
from credits.storage import holds
from credits.use_cases import holdings


def get_balance(app: App, caller: Identity) -> dict[str, Any]:
    """The balance of the caller's organisation, for every user of it (mission, clause 12), and when it will expire."""
    with app.database.reading() as reader:
        holding = holdings.look(reader, caller.organization_id)
        held = holds.held_by(reader, caller.organization_id)
    until: dict[datetime | None, int] = {}
    for lot in holding.lots:
        until[lot.expires_at] = until.get(lot.expires_at, 0) + lot.left
    return {
        "balance": holding.balance,
        "held": held,
        "unit": "credit",
        "minutes_per_credit": MINUTES_PER_CREDIT,
        "expiries": [{"expires_at": expires_at, "credits": credits} for expires_at, credits in until.items()],
    }
