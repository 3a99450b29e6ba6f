"""Say what every order has brought, so that it can be compared with what the order says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.identity import Identity
from chassis.persistence import Reader, Row
from credits.bootstrap import App
from credits.domain.cards import HOLDING
from credits.domain.crediting import line_of
from credits.storage import cards, ledger


def order_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all grants and cards, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require("finance", "support", "superuser")
    with app.database.reading() as reader:
        rows, following = ledger.brought_by_orders(reader, limit, cursor)
        what_became = _what_became(reader, rows)
    return {
        "items": [
            {
                "order_id": row["order_id"],
                "line_id": line_of(row["cause"]),
                "card_id": row["card_id"],
                "credits": row["amount"],
                **what_became[row["id"]],
            }
            for row in rows
        ],
        "next": following,
    }


def _what_became(reader: Reader, rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """By transaction, how many of its credits a refund took back, and how many the buyer still has: on a card that
    nobody has claimed, or on the balance, by a grant or by recalling a card.
    """
    card_ids = [row["card_id"] for row in rows if row["card_id"] is not None]
    states = cards.states_of(reader, card_ids)
    recalls = ledger.posted_for(reader, [f"recall:{card_id}" for card_id in card_ids])
    reversals = ledger.posted_for(reader, [f"reversal:card:{card_id}" for card_id in card_ids])
    lots = [row["id"] for row in rows] + [recall["id"] for recall in recalls.values()]
    used = ledger.used_of(reader, lots)

    def became(row: Row) -> dict[str, int]:
        card_id = row["card_id"]
        lot = row if card_id is None else recalls.get(f"recall:{card_id}")
        uses = used.get(lot["id"], {}) if lot else {}
        on_balance = lot["amount"] - sum(uses.values()) if lot else 0
        on_card = row["amount"] if states.get(card_id) in HOLDING else 0
        reversal = reversals.get(f"reversal:card:{card_id}")
        return {
            "taken_back": uses.get("reversal", 0) + (reversal["amount"] if reversal else 0),
            "with_buyer": on_balance + on_card,
        }

    return {row["id"]: became(row) for row in rows}
