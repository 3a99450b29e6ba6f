"""Hold credits of an organisation for something that may cost them, and more of them later (mission, B6)."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Row, Transaction
from credits.bootstrap import App
from credits.messages import HOLD_PLACED
from credits.storage import holds, ledger
from credits.use_cases import holdings
from kernel.errors import Kind, Refusal, conflict, not_found
from kernel.ids import new_id

_HOLDERS = ("ticket", "buyer", "admin")
_STAFF = ("support", "superuser")


def hold_credits(
    app: App, caller: Identity | None, *, organization_id: str, cause: str, credits: int, memo: str
) -> dict[str, Any]:
    """Reserve credits, once for each cause: nobody can use them for anything else. Safe to ask again.

    Args:
        app: the service's parts.
        caller: somebody of the organisation who may open tickets; support; or None for a service acting on its own.
        organization_id: whose credits.
        cause: what for.
        credits: how many.
        memo: a line for the organisation's statement.

    Raises:
        Refusal: `forbidden`; `insufficient_credits` with the balance; `hold_differs`: there is another hold for that
            cause.
    """
    check_caller(caller, organization_id)
    with app.database.transaction() as tx:
        hold = {
            "id": new_id("hld"), "cause": cause, "organization_id": organization_id, "credits": credits, "memo": memo
        }  # fmt: skip
        if not holds.begin(tx, hold):
            known = existing(holds.lock(tx, cause))
            if known["organization_id"] != organization_id:
                raise conflict("hold_differs", "Other credits are held for this cause.")
            return view(tx, known)
        account = ledger.open_account(tx, ledger.hold_account(str(hold["id"])))
        _take(tx, organization_id, account, credits, f"hold:{cause}", memo)
        tx.audit(caller, "credits.held", str(hold["id"]), organization_id, credits=credits, cause=cause)
        return emit_and_view(tx, existing(holds.lock(tx, cause)), HOLD_PLACED)


def raise_hold(app: App, caller: Identity | None, *, cause: str, raise_cause: str, credits: int) -> dict[str, Any]:
    """Reserve more for the same thing, once for each `raise_cause`. Safe to ask again.

    Args:
        app: the service's parts.
        caller: as for `hold_credits`.
        cause: of the hold.
        raise_cause: what the additional credits are for.
        credits: how many more.

    Raises:
        Refusal: `forbidden`; `not_found`; `insufficient_credits` with the balance; `hold_settled`.
    """
    with app.database.transaction() as tx:
        hold = existing(holds.lock(tx, cause))
        check_caller(caller, hold["organization_id"])
        full_cause = f"hold:{cause}:{raise_cause}"
        if ledger.is_posted(tx, full_cause):
            return view(tx, hold)
        if hold["settled_at"] is not None:
            raise conflict("hold_settled", "This hold is settled: nothing more can be held for it.")
        _take(tx, hold["organization_id"], ledger.hold_account(hold["id"]), credits, full_cause, hold["memo"])
        holds.change(tx, hold["id"], credits=hold["credits"] + credits)
        tx.audit(caller, "credits.held", hold["id"], hold["organization_id"], credits=credits, cause=cause)
        return emit_and_view(tx, existing(holds.lock(tx, cause)), HOLD_PLACED)


def _take(tx: Transaction, organization_id: str, account: str, credits: int, cause: str, memo: str) -> None:
    holding = holdings.lock(tx, organization_id)
    holding.require(credits)
    holding.take(tx, "hold", credits=credits, cause=cause, destination=account, memo=f"{memo}: held")


def check_caller(caller: Identity | None, organization_id: str) -> None:
    """Refuse who may not use the organisation's credits.

    Raises:
        Refusal: `forbidden`.
    """
    if caller is None or caller.role in _STAFF:
        return
    if caller.organization_id != organization_id or caller.role not in _HOLDERS:
        raise Refusal(Kind.FORBIDDEN, "forbidden", "These are not your credits to hold.")


def existing(hold: Row | None) -> Row:
    """The hold that was looked for.

    Raises:
        Refusal: `not_found`.
    """
    if hold is None:
        raise not_found("hold")
    return hold


def view(tx: Transaction, hold: Row) -> dict[str, Any]:
    """A hold, and what the organisation can use beside it."""
    return {
        **facts(hold),
        "state": "held" if hold["settled_at"] is None else "settled",
        "balance": holdings.look(tx, hold["organization_id"]).balance,
    }


def emit_and_view(tx: Transaction, hold: Row, event_type: Any) -> dict[str, Any]:
    """The same, and tell whoever wants to know."""
    tx.emit(event_type, facts(hold))
    return view(tx, hold)


def facts(hold: Row) -> dict[str, Any]:
    """A hold as events have it."""
    shown = ("id", "cause", "organization_id", "credits", "spent", "given_back")
    return {name: hold[name] for name in shown}
