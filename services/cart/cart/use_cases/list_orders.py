"""List the organisation's orders."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.use_cases.overdue import end_overdue
from cart.use_cases.views import READERS, order_view
from chassis.identity import Identity


def list_orders(
    app: App,
    caller: Identity,
    *,
    state: str | None,
    kind: str | None,
    purchase_order: str | None,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """A page of orders of the caller's organisation, newest first.

    Raises:
        Refusal: `forbidden`, `invalid_cursor`.
    """
    caller.require(*READERS)
    filters = {"state": state, "kind": kind, "purchase_order_number": purchase_order}
    with app.database.reading() as reader:
        orders, following = storage.page_of_orders(reader, caller.organization_id, filters, limit, cursor)
    return {"items": [order_view(order) for order in end_overdue(app, orders, reader.now)], "next": following}
