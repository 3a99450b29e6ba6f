"""One card."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from credits.bootstrap import App
from credits.storage import cards
from credits.use_cases.views import card_view
from kernel.errors import not_found


def get_card(app: App, caller: Identity, *, card_id: str) -> dict[str, Any]:
    """A card that the caller's organisation issued or claimed.

    Raises:
        Refusal: `not_found`, for another organisation's card as for one that does not exist.
    """
    with app.database.reading() as reader:
        row = cards.find_card(reader, card_id, caller.organization_id)
        if row is None:
            raise not_found("card")
        return card_view(row, caller.organization_id, reader.now)
