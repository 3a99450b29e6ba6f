"""The credits that a dispute keeps from being used: they are held, for as long as it is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chassis.persistence import Transaction
from credits.domain.disputes import DisputeState, hold_cause
from credits.domain.holds import HeldLot
from credits.messages import HOLD_PLACED
from credits.storage import disputes, holds, ledger
from credits.use_cases.hold_credits import existing, facts
from kernel.ids import new_id

_MEMO = "Payment disputed"


def note_dispute(tx: Transaction, dispute_id: str, order_id: str, state: DisputeState) -> bool:
    """Take note of the dispute of an order; False if it was noted before, and is locked now.

    Raises:
        LookupError: there is another dispute of the order.
    """
    if disputes.begin(tx, dispute_id, order_id, state):
        return True
    if disputes.lock(tx, dispute_id) is None:
        raise LookupError(f"order {order_id} has another dispute than {dispute_id}")
    return False


def hold_disputed(
    tx: Transaction, organization_id: str, dispute_id: str, order_id: str, lots: Mapping[str, int], more: str = ""
) -> str:
    """Move what is left of some lots to the hold of a dispute, which is made or raised.

    Args:
        tx: the one that has locked the organisation's account; that is the lock of this hold, too.
        organization_id: whose.
        dispute_id, order_id: an open dispute, and the order that the lots came of.
        lots: by lot in time, how many; at least one.
        more: where the credits come from if not from the balance, for the cause.

    Returns:
        The ledger transaction's id.
    """
    cause, credits = hold_cause(dispute_id), sum(lots.values())
    hold = {
        "id": new_id("hld"), "cause": cause, "organization_id": organization_id, "credits": credits, "memo": _MEMO
    }  # fmt: skip
    if holds.begin(tx, hold):
        ledger.open_account(tx, ledger.hold_account(str(hold["id"])))
    else:
        known = existing(holds.lock(tx, cause))
        holds.change(tx, known["id"], credits=known["credits"] + credits)
    held = existing(holds.lock(tx, cause))
    posted = ledger.post(
        tx, "hold", cause=f"hold:{cause}{more}", source=ledger.organization_account(organization_id),
        destination=ledger.hold_account(held["id"]), amount=credits, memo=f"{_MEMO}: held", order_id=order_id,
    )  # fmt: skip
    ledger.use_lots(tx, posted, lots)
    tx.emit(HOLD_PLACED, facts(held))
    return posted


def hold_what_came_back(
    tx: Transaction, organization_id: str, cause: str, lots: Sequence[HeldLot], returned: Mapping[str, int]
) -> None:
    """Hold what has just come back to lots of orders whose payment is disputed.

    Args:
        tx: the one that has locked the account and returned them.
        organization_id: whose.
        cause: what returned them; once.
        lots: of which any may have come back.
        returned: by lot, how many. What is due is left: it expires by itself.
    """
    found = disputes.open_among(tx, {each.order_id for each in lots if each.order_id is not None})
    for order_id, dispute_id in found.items():
        back = {
            each.lot.id: returned[each.lot.id]
            for each in lots
            if each.order_id == order_id and returned.get(each.lot.id) and not each.is_due(tx.now)
        }
        if back:
            hold_disputed(tx, organization_id, dispute_id, order_id, back, more=f":{cause}")
