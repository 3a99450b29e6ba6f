"""Note that lines were credited or bound; the last one closes the order."""

from __future__ import annotations

from cart import storage
from cart.bootstrap import App
from cart.use_cases.settle_order import UnknownOrderError
from chassis.messages import Event


def hand_over_lines(app: App, event: Event, awaited: str) -> None:
    """Take note of ``credits.order_credited.v1`` or ``accounts.order_bound.v1``.

    One that comes before the order is known to be paid is noted all the same: the payment then closes the order.

    Args:
        app: the parts.
        event: with `order_id` and `line_ids`.
        awaited: what the lines have got: ``awaits_credits`` or ``awaits_binding``.

    Raises:
        UnknownOrderError: there is no such order.
    """
    order_id = event.data["order_id"]
    with app.database.transaction() as transaction:
        if not transaction.accept(event):
            return
        if not storage.lock_order_row(transaction, order_id):
            raise UnknownOrderError(order_id)
        storage.hand_over_lines(transaction, order_id, event.data["line_ids"], awaited)
        storage.fulfil_if_complete(transaction, order_id)
