"""Resume orders whose payment is not known: their process died, or payments did not answer in time."""

from __future__ import annotations

import logging
from datetime import timedelta

from cart import storage
from cart.bootstrap import App
from cart.domain.order import Order, next_attempt_at
from cart.use_cases.settle_order import Answer, settle_order
from chassis.persistence import Transaction
from kernel.errors import Refusal

log = logging.getLogger(__name__)

#: Orders in one run at most, so that a run ends.
_ORDERS_A_RUN = 100


def resume_orders(app: App) -> None:
    """Ask payments about every order whose lease has run out; several processes share them without overlapping."""
    for _ in range(_ORDERS_A_RUN):
        with app.database.transaction() as transaction:
            order = claim(app, transaction)
        if order is None:
            return
        try:
            resume_order(app, order)
        except Refusal as refusal:
            log.warning("payments cannot be asked now; trying again later", extra={"code": refusal.code})
            return


def claim(app: App, transaction: Transaction, order_id: str | None = None) -> Order | None:
    """An order to resume (that one, or any), with a lease on it that grows with every attempt; without its lines."""
    settings = app.settings
    order = storage.claim_order(transaction, timedelta(seconds=settings.resume_at_most_s), order_id)
    if order is not None:
        until = next_attempt_at(
            transaction.now, order.attempts + 1, settings.resume_after_s, settings.resume_at_most_s
        )  # fmt: skip
        storage.lease_order(transaction, order, until)
    return order


def resume_order(app: App, order: Order) -> Answer | None:
    """Ask payments what became of a claimed order; have it collected if payments has never heard of it.

    One whose buyer wants it cancelled is never collected: payments is asked to give it up until it has answered.

    Returns:
        The answer kept under its Idempotency-Key; None if it is not known yet.

    Raises:
        Refusal: payments could not be asked.
    """
    if order.cancel_requested_at is not None:
        intent = app.payments.void(order)
    elif order.attempt_id is not None:  # only asking for that very attempt again says what became of it
        intent = app.payments.collect(order)
    else:
        intent = app.payments.find_intent(order.id) or app.payments.collect(order)
    return settle_order(app, order.id, intent)
