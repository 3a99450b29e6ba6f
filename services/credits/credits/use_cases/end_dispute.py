"""End a dispute: what it froze is as it was, or is taken back as for a refund (mission, clause 30)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.messages import Event
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain.cards import CardState
from credits.domain.disputes import DisputeState, hold_cause
from credits.messages import HOLD_SETTLED
from credits.storage import cards, disputes, holds, ledger, reversals
from credits.use_cases.disputed_credits import note_dispute
from credits.use_cases.hold_credits import facts
from credits.use_cases.take_back_order import DISPUTE, Brought, lock_brought, take_unspent


def end_dispute(app: App, event: Event) -> None:
    """Take note of ``cart.order_dispute_closed.v1``, in one step.

    Won: what the dispute froze is as it was. Lost: what is unspent is taken back, no more than the dispute's share;
    what is claimed or spent stays where it is, since the claimant has done nothing. It may come before
    ``cart.order_disputed.v1``, which then freezes nothing any more.

    Args:
        app: the service's parts.
        event: about an order all of whose credits have come.

    Raises:
        LookupError: there is another dispute of the order.
    """
    told = event.data
    state = DisputeState(told["outcome"])
    with app.database.transaction() as tx:
        if not tx.accept(event):
            return
        is_new = note_dispute(tx, told["dispute_id"], told["order_id"], state)
        if is_new or disputes.close(tx, told["dispute_id"], state):
            _end(tx, told, state)


def _end(tx: Transaction, told: Mapping[str, Any], state: DisputeState) -> None:
    dispute_id, order_id, most = told["dispute_id"], told["order_id"], told["credits"]
    whole = state is DisputeState.LOST and most is None
    if whole:  # before the locks, as a refund does it; one that was faster has taken everything
        reversals.begin(tx, dispute_id, order_id)
    brought = lock_brought(tx, order_id)
    was_held = _release(tx, dispute_id, order_id)
    if was_held:
        brought = lock_brought(tx, order_id)
    if state is DisputeState.LOST:
        taken = take_unspent(tx, DISPUTE, dispute_id, brought, brought.cards, brought.lots, most, was_held)
        disputes.note_taken_back(tx, dispute_id, taken)
        if whole:
            reversals.finish(tx, dispute_id, {**_what_became(brought), "taken_back": taken})
    cards.thaw_after_dispute(tx, order_id)


def _release(tx: Transaction, dispute_id: str, order_id: str) -> bool:
    """Return what is held to its lots, if anything is; the account is locked."""
    hold = holds.lock(tx, hold_cause(dispute_id))
    if hold is None:
        return False
    account = ledger.hold_account(hold["id"])
    held = {each.lot.id: each.lot.left for each in holds.lots_of(tx, account)}
    posted = ledger.post(
        tx, "release", cause=f"release:{hold['cause']}", source=account, amount=hold["credits"], order_id=order_id,
        destination=ledger.organization_account(hold["organization_id"]), memo=f"{hold['memo']}: decided, returned",
    )  # fmt: skip
    ledger.return_to_lots(tx, posted, held)
    holds.change(tx, hold["id"], settled_at=tx.now)
    tx.emit(HOLD_SETTLED, facts(hold))
    return True


def _what_became(brought: Brought) -> dict[str, int]:
    return {
        "claimed": brought.on_cards(CardState.CLAIMED),
        "spent": brought.spent,
        "expired": brought.on_cards(CardState.EXPIRED) + brought.expired_lots,
    }
