"""Say of paid orders again what their events have said, for whoever has missed it."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.use_cases.views import paid_event
from chassis.identity import STAFF, Identity


def paid_orders(app: App, caller: Identity | None, *, order_ids: list[str]) -> dict[str, Any]:
    """Those of the orders that are paid, whatever has become of them since, as ``cart.order_paid.v1`` says them.

    Args:
        app: the parts.
        caller: staff; None for a service acting on its own.
        order_ids: the orders.

    Raises:
        Refusal: `forbidden` for customers.
    """
    if caller is not None:
        caller.require(*STAFF)
    with app.database.reading() as reader:
        found = storage.read_orders(reader, order_ids)
    return {"items": [paid_event(order, order.paid_at) for order in found if order.paid_at is not None]}
