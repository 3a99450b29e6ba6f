"""Show an order."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.use_cases.overdue import end_overdue
from cart.use_cases.views import READERS, order_view
from chassis.identity import Identity
from kernel.errors import not_found


def get_order(app: App, caller: Identity, order_id: str) -> dict[str, Any]:
    """An order of the caller's organisation.

    Raises:
        Refusal: `forbidden`; `not_found`, also for another organisation's.
    """
    caller.require(*READERS)
    with app.database.reading() as reader:
        order = storage.read_order(reader, order_id, caller.organization_id)
    if order is None:
        raise not_found("order")
    return order_view(end_overdue(app, [order], reader.now)[0])
