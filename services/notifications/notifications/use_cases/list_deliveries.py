"""List deliveries, for staff who look into what became of a mail."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from notifications import storage
from notifications.bootstrap import App


def list_deliveries(
    app: App, caller: Identity, *, cause_prefix: str | None, order_id: str | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """One page, newest first.

    Args:
        app: the application.
        caller: staff.
        cause_prefix: only those whose cause begins so, e.g. ``card:``.
        order_id: only those about this order.
        limit: items at most.
        cursor: where the page before ended.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = storage.list_deliveries(
            reader, cause_prefix=cause_prefix, order_id=order_id, limit=limit, cursor=cursor
        )
    return {"items": [dict(row) for row in rows], "next": following}
