"""End a hold: spend what was used and return the rest; and give back what was spent, if it should not have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chassis.identity import Identity
from chassis.persistence import Row, Transaction
from credits.bootstrap import App
from credits.domain.holds import HeldLot, divide
from credits.domain.validity import expiry, valid_days
from credits.messages import HOLD_GIVEN_BACK, HOLD_SETTLED
from credits.storage import holds, ledger
from credits.use_cases.disputed_credits import hold_what_came_back
from credits.use_cases.hold_credits import check_caller, emit_and_view, existing, view
from kernel.errors import conflict


def settle_hold(app: App, caller: Identity | None, *, cause: str, spent: int) -> dict[str, Any]:
    """Spend some of what is held and return the rest to the lots it came from, in one step. Safe to ask again.

    Args:
        app: the service's parts.
        caller: as for `hold_credits`.
        cause: of the hold.
        spent: how many; 0 releases all of it.

    Raises:
        Refusal: `forbidden`; `not_found`; `hold_too_small` with what it has; `hold_settled`: with another number.
    """
    with app.database.transaction() as tx:
        hold = existing(holds.lock(tx, cause))
        check_caller(caller, hold["organization_id"])
        if hold["settled_at"] is not None:
            if hold["spent"] != spent:
                raise conflict("hold_settled", "This hold is settled already.", extra={"spent": hold["spent"]})
            return view(tx, hold)
        if spent > hold["credits"]:
            raise conflict("hold_too_small", "Fewer credits are held.", extra={"credits": hold["credits"]})
        _settle(tx, hold, spent)
        holds.change(tx, hold["id"], spent=spent, settled_at=tx.now)
        tx.audit(caller, "credits.hold_settled", hold["id"], hold["organization_id"], spent=spent, cause=cause)
        return emit_and_view(tx, existing(holds.lock(tx, cause)), HOLD_SETTLED)


def _settle(tx: Transaction, hold: Row, spent: int) -> None:
    held, account = ledger.hold_account(hold["id"]), ledger.organization_account(hold["organization_id"])
    ledger.lock_account(tx, account)
    lots = holds.lots_of(tx, held)
    _, returned = divide(lots, spent)
    memo, rest = hold["memo"], hold["credits"] - spent
    if spent:
        ledger.post(
            tx, "spend", cause=f"settle:{hold['cause']}", source=held, destination=ledger.USAGE, amount=spent, memo=memo
        )
    if rest:
        posted = ledger.post(
            tx, "release", cause=f"release:{hold['cause']}", source=held, destination=account, amount=rest,
            memo=f"{memo}: {spent} spent, the rest returned",
        )  # fmt: skip
        ledger.return_to_lots(tx, posted, returned)
        _lapse(tx, hold, account, lots, returned)
        hold_what_came_back(tx, hold["organization_id"], f"release:{hold['cause']}", lots, returned)


def _lapse(tx: Transaction, hold: Row, account: str, lots: Sequence[HeldLot], returned: Mapping[str, int]) -> None:
    """Take off what came back to lots of an order that was refunded meanwhile, or whose dispute was lost: its money is
    with the buyer.
    """
    refunded = _refunded(tx, lots)
    for each in lots:
        amount = returned.get(each.lot.id)
        if amount and each.order_id in refunded and not each.is_due(tx.now):  # what is due expires by itself
            posted = ledger.post(
                tx, "adjustment", cause=f"lapse:{hold['cause']}:{each.lot.id}", source=account,
                destination=ledger.ISSUANCE, amount=amount, order_id=each.order_id, memo="Order refunded",
            )  # fmt: skip
            ledger.use_lots(tx, posted, {each.lot.id: amount})


def give_back_hold(app: App, caller: Identity | None, *, cause: str, memo: str) -> dict[str, Any]:
    """Give back what a settled hold has spent, once: a reversal in the ledger. Safe to ask again.

    What has come of a lot goes back to it. Credits whose time is over by now come anew, for as long as the setting
    says; credits of an order that was refunded stay spent, since their money is with the buyer.

    Args:
        app: the service's parts.
        caller: support or a superuser; or None for a service acting on its own.
        cause: of the hold.
        memo: a line for the organisation's statement.

    Raises:
        Refusal: `forbidden`; `not_found`; `hold_not_settled`.
    """
    if caller is not None:
        caller.require("support", "superuser")
    with app.database.transaction() as tx:
        hold = existing(holds.lock(tx, cause))
        if hold["settled_at"] is None:
            raise conflict("hold_not_settled", "Nothing of this hold was spent yet.")
        if hold["given_back_at"] is not None:
            return view(tx, hold)
        given = _give_back(app, tx, hold, memo)
        holds.change(tx, hold["id"], given_back=given, given_back_at=tx.now)
        tx.audit(caller, "credits.given_back", hold["id"], hold["organization_id"], credits=given, cause=cause)
        return emit_and_view(tx, existing(holds.lock(tx, cause)), HOLD_GIVEN_BACK)


def _give_back(app: App, tx: Transaction, hold: Row, memo: str) -> int:
    account = ledger.organization_account(hold["organization_id"])
    ledger.lock_account(tx, account)
    lots = holds.lots_of(tx, ledger.hold_account(hold["id"]))
    refunded = _refunded(tx, lots)
    due = [each for each in lots if each.order_id not in refunded]
    in_time = {each.lot.id: each.lot.left for each in due if not each.is_due(tx.now)}
    if in_time:
        posted = ledger.post(
            tx, "give_back", cause=f"give_back:{hold['cause']}", source=ledger.USAGE, destination=account,
            amount=sum(in_time.values()), memo=memo,
        )  # fmt: skip
        ledger.return_to_lots(tx, posted, in_time)
        hold_what_came_back(tx, hold["organization_id"], f"give_back:{hold['cause']}", due, in_time)
    for free in (False, True):
        late = sum(each.lot.left for each in due if each.is_due(tx.now) and each.lot.free is free)
        if late:
            ledger.post(
                tx, "adjustment", cause=f"give_back:{hold['cause']}:{'free' if free else 'bought'}",
                source=ledger.USAGE, destination=account, amount=late, memo=memo, free=free,
                expires_at=expiry(valid_days(None, app.credits_valid_days), tx.now),
            )  # fmt: skip
    return sum(each.lot.left for each in due)


def _refunded(tx: Transaction, lots: Sequence[HeldLot]) -> set[str]:
    return holds.refunded_among(tx, [each.order_id for each in lots if each.order_id is not None])
