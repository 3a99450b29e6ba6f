"""Say where every ticket's credits are, so that it can be compared with what credits says."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from support import storage
from support.bootstrap import App
from support.domain.tickets import LIVE


def ticket_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all tickets that were not refused, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        tickets, following = storage.page_of_tickets(reader, {}, limit, cursor)
    return {
        "items": [
            {
                "ticket_id": ticket.id,
                "step": None if ticket.step is None else str(ticket.step),
                "held": ticket.cap_credits if ticket.state in LIVE else 0,
                "debited": ticket.debited_credits,
                "given_back": ticket.given_back_credits,
            }
            for ticket in tickets
        ],
        "next": following,
    }
