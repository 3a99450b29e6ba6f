"""Freeze what is unspent of an order whose payment is disputed (mission, clause 30)."""

from __future__ import annotations

from chassis.messages import Event
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain.disputes import DisputeState
from credits.storage import cards
from credits.use_cases import holdings
from credits.use_cases.disputed_credits import hold_disputed, note_dispute
from credits.use_cases.take_back_order import lock_brought


def freeze_order(app: App, event: Event) -> None:
    """Take note of ``cart.order_disputed.v1``: until it is decided, nobody claims a card of the order or uses what it
    has left on the balance. What is claimed or spent stays where it is.

    The locks decide between this and a claim, as they do between a refund and a claim: whoever has them first wins.

    Args:
        app: the service's parts.
        event: about an order all of whose credits have come.

    Raises:
        LookupError: there is another dispute of the order.
    """
    dispute_id, order_id = event.data["dispute_id"], event.data["order_id"]
    with app.database.transaction() as tx:
        if not tx.accept(event):
            return
        if note_dispute(tx, dispute_id, order_id, DisputeState.OPEN):
            _freeze(tx, dispute_id, order_id)


def _freeze(tx: Transaction, dispute_id: str, order_id: str) -> None:
    brought = lock_brought(tx, order_id)
    cards.freeze_for_dispute(tx, order_id)
    left = {lot.id: lot.left for lot in brought.lots if lot.left}
    if left and brought.organization_id is not None:
        posted = hold_disputed(tx, brought.organization_id, dispute_id, order_id, left)
        holdings.alert_of_loss(tx, brought.organization_id, posted, sum(left.values()))
