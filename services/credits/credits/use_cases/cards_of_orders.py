"""Which cards came of which orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.identity import Identity
from credits.bootstrap import App
from credits.domain import codes
from credits.storage import cards
from credits.use_cases.views import state_of


def cards_of_orders(app: App, caller: Identity, *, order_ids: Sequence[str]) -> dict[str, Any]:
    """The cards of each order, as asked; none for an order without cards and for another organisation's."""
    found: dict[str, list[dict[str, Any]]] = {order_id: [] for order_id in order_ids}
    with app.database.reading() as reader:
        for row in cards.cards_of_orders(reader, caller.organization_id, order_ids):
            card = {
                "id": row["id"],
                "number_masked": codes.masked(row["number"]),
                "state": state_of(row, reader.now),
            }
            found[row["order_id"]].append(card)
    return {"items": [{"order_id": order_id, "cards": issued} for order_id, issued in found.items()]}
