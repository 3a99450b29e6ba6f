"""Say what every order is owed, so that it can be compared with what the other services have done."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.order import ORDER, Order
from cart.domain.refund import Refund
from chassis.identity import STAFF, Identity
from kernel.clock import rfc3339


def order_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all organisations' orders, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        orders, following = storage.page_of_orders(reader, None, {"kind": ORDER}, limit, cursor)
        refunds = storage.refunds_of(reader, [order.id for order in orders])
    return {"items": [_facts(order, refunds.get(order.id, [])) for order in orders], "next": following}


def _facts(order: Order, refunds: list[Refund]) -> dict[str, Any]:
    return {
        "order_id": order.id,
        "number": order.number,
        "state": str(order.state),
        "paid_at": None if order.paid_at is None else rfc3339(order.paid_at),
        "payment_method": order.payment_method,
        "total": order.total.as_dict(),
        "problem": order.problem,
        "refund": _refund_facts(refunds[-1]) if refunds else None,
        "refunds": [_refund_facts(refund) for refund in refunds],
        "dispute": None
        if order.dispute is None
        else {"dispute_id": order.dispute.id, "state": str(order.dispute.state)},
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


def _refund_facts(refund: Refund) -> dict[str, Any]:
    return {
        "refund_id": refund.id,
        "state": str(refund.state),
        "amount": refund.amount.as_dict(),
        "taken_back": None if refund.taken_back is None else refund.taken_back.taken_back,
    }
