"""Find orders of any organisation, for staff."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from chassis.identity import STAFF, Identity
from chassis.persistence import Row


def search_orders(
    app: App, caller: Identity, *, limit: int, cursor: str | None = None, ids: list[str] | None = None, **wanted: str
) -> dict[str, Any]:
    """A page of orders and quotes, newest first, each in short.

    Args:
        app: the parts.
        caller: staff.
        limit: orders at most.
        cursor: of the page before.
        ids: which they must be among.
        wanted: columns of `cart.storage.ORDERS` and the values they must have.

    Raises:
        Refusal: `forbidden`, `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = storage.search_orders(reader, wanted, ids, limit, cursor)
    return {"items": [_in_short(row) for row in rows], "next": following}


def _in_short(row: Row) -> dict[str, Any]:
    same = (
        "id", "number", "kind", "state", "payment_method", "card_last4", "purchase_order_number", "placed_at",
        "paid_at", "problem",
    )  # fmt: skip
    return {
        **{name: row[name] for name in same},
        "organization": {"id": row["organization_id"], "name": row["organization_name"]},
        "buyer": {"email": row["buyer_email"], "name": row["buyer_name"]},
        "dispute": row["dispute_state"],
        "total": {"amount_minor": row["total_minor"], "currency": row["currency"]},
    }
