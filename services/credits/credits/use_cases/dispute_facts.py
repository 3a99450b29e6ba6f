"""Say how every dispute stands, so that it can be compared with what payments and cart say."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from credits.bootstrap import App
from credits.storage import disputes


def dispute_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all disputes, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = disputes.page_of_disputes(reader, limit, cursor)
    shown = ("dispute_id", "order_id", "state", "taken_back")
    return {"items": [{name: row[name] for name in shown} for row in rows], "next": following}
