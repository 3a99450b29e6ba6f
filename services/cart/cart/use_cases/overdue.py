"""Enforce on read that an order whose money did not come in time is cancelled.

Payments decides, since money may have come at the last moment; its sweep tells cart of every such order in the end, and
this is for those that are looked at before.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from cart import storage
from cart.bootstrap import App
from cart.domain import quote as quotes
from cart.domain.order import Order, State
from cart.use_cases.settle_order import settle_order
from kernel.errors import Refusal

log = logging.getLogger(__name__)


def end_overdue(app: App, orders: Sequence[Order], now: datetime) -> list[Order]:
    """The orders as they are once payments was asked about those that are overdue; all the others stay as they are.

    A quote is shown as expired once its last day has passed, whatever the sweep has come to.

    Args:
        app: the parts.
        orders: as they were read.
        now: when they were read.
    """
    found = [quotes.at(order, now) for order in orders]
    for position, order in enumerate(orders):
        if order.state is not State.AWAITING_PAYMENT or order.expires_at is None or order.expires_at > now:
            continue
        try:
            intent = app.payments.find_intent(order.id)
        except Refusal as refusal:
            log.warning("payments cannot be asked about overdue orders now", extra={"code": refusal.code})
            break
        if intent is not None:
            settle_order(app, order.id, intent)
            with app.database.reading() as reader:
                found[position] = storage.read_order(reader, order.id) or order
    return found
