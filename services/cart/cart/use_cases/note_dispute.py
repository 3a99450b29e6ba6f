"""Note that an order's payment is disputed, or how that ended, and tell those who have to do something about it.

The others are told under the order's lock, and only once its credits have come: what credits has not brought yet it
could not freeze. Whichever comes last, the dispute or the credits, tells them (`hand_over_lines`).
"""

from __future__ import annotations

from dataclasses import replace

from cart import storage
from cart.bootstrap import App
from cart.domain.dispute import Dispute, DisputeState
from cart.domain.order import Order
from cart.domain.refund import RefundState
from cart.messages import ORDER_DISPUTE_CLOSED, ORDER_DISPUTED
from cart.storage.disputes import change_dispute, insert_dispute, note_told
from cart.use_cases.settle_order import UnknownOrderError
from cart.use_cases.views import dispute_closed_event, disputed_event
from chassis.messages import Event
from chassis.persistence import Transaction


def note_dispute(app: App, event: Event) -> None:
    """Take note of ``payments.dispute_opened.v1`` or ``payments.dispute_closed.v1``, in whatever order they come.

    Raises:
        UnknownOrderError: there is no such order.
        DisputeProblem: the order has another dispute.
    """
    said = Dispute.of(event.data)
    with app.database.transaction() as transaction:
        if not transaction.accept(event):
            return
        locked = storage.lock_order(transaction, said.order_id)
        if locked is None:
            raise UnknownOrderError(said.order_id)
        order, _ = locked
        if order.dispute is None:
            insert_dispute(transaction, said)
            dispute = said
        else:
            news = order.dispute.news(said)
            if not news:
                return
            change_dispute(transaction, said.id, news)
            dispute = replace(order.dispute, **news)
        tell_of_dispute(transaction, replace(order, dispute=dispute))


def tell_of_dispute(transaction: Transaction, order: Order) -> None:
    """Say how the dispute of a locked order stands, unless that was said, or its credits are still to come."""
    dispute = order.dispute
    if dispute is None or dispute.told == dispute.state or order.awaits_credits:
        return
    if dispute.state is DisputeState.OPEN:
        transaction.emit(ORDER_DISPUTED, disputed_event(order, dispute))
    else:
        refunds = storage.refunds_of(transaction, [order.id]).get(order.id, [])
        refunded = sum(refund.amount_minor for refund in refunds if refund.state is RefundState.DONE)
        share = dispute.share(sum(line.quantity * line.credits for line in order.lines), refunded)
        transaction.emit(ORDER_DISPUTE_CLOSED, dispute_closed_event(order, dispute, share))
    note_told(transaction, dispute.id, dispute.state)
