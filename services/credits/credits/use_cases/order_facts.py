"""Say what every order has brought, so that it can be compared with what the order says."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from credits.bootstrap import App
from credits.domain.crediting import line_of
from credits.storage import ledger


def order_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all grants and cards, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require("finance", "support", "superuser")
    with app.database.reading() as reader:
        rows, following = ledger.brought_by_orders(reader, limit, cursor)
    return {
        "items": [
            {
                "order_id": row["order_id"],
                "line_id": line_of(row["cause"]),
                "card_id": row["card_id"],
                "credits": row["amount"],
            }
            for row in rows
        ],
        "next": following,
    }
