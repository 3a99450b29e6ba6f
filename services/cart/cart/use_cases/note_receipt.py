"""Note how much money has come for an order by wire or check, so that its buyer sees what is left to pay."""

from __future__ import annotations

from cart import storage
from cart.bootstrap import App
from cart.use_cases.settle_order import UnknownOrderError
from chassis.messages import Event


def note_receipt(app: App, event: Event) -> None:
    """Take note of ``payments.receipt_recorded.v1``. It pays nothing: payments says by itself when all of it is there.

    Raises:
        UnknownOrderError: there is no such order.
    """
    order_id = event.data["order_id"]
    with app.database.transaction() as transaction:
        if not transaction.accept(event):
            return
        if not storage.lock_orders(transaction, {order_id}):
            raise UnknownOrderError(order_id)
        storage.note_received(transaction, order_id, event.data["payment"]["received"]["amount_minor"])
