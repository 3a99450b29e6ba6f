"""Say what is bound for every order, so that it can be compared with what the order says."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from chassis.identity import STAFF, Identity


def order_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the lines of all orders that are bound to a deployment, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = storage.page_of_entitlements(reader, limit, cursor)
    return {
        "items": [{"order_id": row["order_id"], "line_id": row["order_line_id"]} for row in rows],
        "next": following,
    }
