"""Note that lines were credited or bound; the last one closes the order."""

from __future__ import annotations

from collections.abc import Sequence

from cart import storage
from cart.bootstrap import App
from cart.storage.disputes import orders_to_tell_of
from cart.use_cases.note_dispute import tell_of_dispute
from cart.use_cases.settle_order import UnknownOrderError
from chassis.messages import Event


def hand_over_lines(app: App, events: Sequence[Event], awaited: str) -> None:
    """Take note of ``credits.order_credited.v1`` or ``accounts.order_bound.v1``.

    One that comes before the order is known to be paid is noted all the same: the payment then closes the order. If the
    payment was disputed before the credits came, they are frozen now.

    Args:
        app: the parts.
        events: with `order_id` and `line_ids`.
        awaited: what the lines have got: ``awaits_credits`` or ``awaits_binding``.

    Raises:
        UnknownOrderError: one names an order that is not here; nothing was noted.
    """
    with app.database.transaction() as transaction:
        fresh = list(transaction.accept_each(events))
        known = storage.lock_orders(transaction, {event.data["order_id"] for event in fresh})
        for event in fresh:
            order_id = event.data["order_id"]
            if order_id not in known:
                raise UnknownOrderError(order_id)
            storage.hand_over_lines(transaction, order_id, event.data["line_ids"], awaited)
            storage.fulfil_if_complete(transaction, order_id)
        if awaited == "awaits_credits":
            for order_id in orders_to_tell_of(transaction, known):
                locked = storage.lock_order(transaction, order_id)
                if locked is not None:
                    tell_of_dispute(transaction, locked[0])
