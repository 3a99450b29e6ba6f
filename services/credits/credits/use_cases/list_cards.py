"""The cards that an organisation issued or claimed."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from credits.bootstrap import App
from credits.domain.cards import CardState
from credits.storage import cards
from credits.use_cases.views import card_view


def list_cards(
    app: App, caller: Identity, *, role: str, limit: int, cursor: str | None, state: str | None = None
) -> dict[str, Any]:
    """A page of the cards of the caller's organisation, newest first.

    Args:
        app: the service's parts.
        caller: any user of the organisation.
        role: ``issuer`` for the cards it bought, ``claimant`` for those it claimed.
        limit: cards at most.
        cursor: `next` of the page before, or None.
        state: only those that are seen in this state now; None: all.

    Raises:
        Refusal: `invalid_cursor`.
    """
    with app.database.reading() as reader:
        wanted = CardState(state) if state else None
        rows, following = cards.list_cards(reader, caller.organization_id, role, wanted, limit, cursor)
        return {"items": [card_view(row, caller.organization_id, reader.now) for row in rows], "next": following}
