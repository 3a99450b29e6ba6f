"""Say what every order has brought, so that it can be compared with what the order says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.identity import STAFF, Identity
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
    caller.require(*STAFF)
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


def _what_became(reader: Reader, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By transaction, how many of its credits a refund took back, and how many the buyer still has: on a card that
    nobody has claimed, or on the balance, by a grant or by recalling a card. And what the mails must be about: the
    cards that it was split into, and the codes that were made anew.
    """
    card_ids = [row["card_id"] for row in rows if row["card_id"] is not None]
    families = cards.families_of(reader, card_ids)
    all_cards = [card["id"] for family in families.values() for card in family]
    recalls = ledger.posted_for(reader, [f"recall:{card_id}" for card_id in all_cards])
    reversals = ledger.posted_for(reader, [f"reversal:card:{card_id}" for card_id in all_cards])
    lots = [row["id"] for row in rows] + [recall["id"] for recall in recalls.values()]
    used = ledger.used_of(reader, lots)

    def became(row: Row) -> dict[str, Any]:
        family = families.get(row["card_id"], [])
        back = [recalls[cause] for cause in (f"recall:{card['id']}" for card in family) if cause in recalls]
        own = [row] if row["card_id"] is None else back
        uses = [used.get(lot["id"], {}) for lot in own]
        reversed_cards = [f"reversal:card:{card['id']}" for card in family]
        return {
            "taken_back": sum(use.get("reversal", 0) for use in uses)
            + sum(reversals[cause]["amount"] for cause in reversed_cards if cause in reversals),
            "with_buyer": sum(lot["amount"] for lot in own)
            - sum(sum(use.values()) for use in uses)
            + sum(card["credits"] for card in family if card["state"] in HOLDING),
            "split_into": [card["id"] for card in family if card["id"] != row["card_id"]],
            "reissues": [f"{card['id']}:{issue}" for card in family for issue in range(2, card["code_issue"] + 1)],
        }

    return {row["id"]: became(row) for row in rows}
