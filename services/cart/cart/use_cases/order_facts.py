"""Say what every order is owed, so that it can be compared with what the other services have done."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.order import Order
from chassis.identity import Identity
from kernel.clock import rfc3339


def order_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all organisations' orders, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require("finance", "support", "superuser")
    with app.database.reading() as reader:
        orders, following = storage.page_of_orders(reader, None, {}, limit, cursor)
    return {"items": [_facts(order) for order in orders], "next": following}


def _facts(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.id,
        "number": order.number,
        "state": str(order.state),
        "paid_at": None if order.paid_at is None else rfc3339(order.paid_at),
        "payment_method": order.payment_method,
        "total": order.total.as_dict(),
        "problem": order.problem,
        "lines": [
            {
                "line_id": line.id,
                "quantity": line.quantity,
                "credits": line.credits,
                "credit_destination": line.credit_destination,
                "is_bound": line.deployment_id is not None,
                "handed_over": line.awaits_nothing,
            }
            for line in order.lines
        ],
    }
