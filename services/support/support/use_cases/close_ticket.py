"""Close a ticket: debit what was worked, return the rest; or nothing at all, if it was a defect of ours."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from kernel.errors import conflict
from support import storage
from support.bootstrap import App
from support.domain.preflight import OPENERS, WORKERS
from support.domain.tickets import OverrunState, State, Step, Ticket, check_idle, check_live
from support.use_cases import views
from support.use_cases.proceed import finish
from support.use_cases.steps import begin


def close_ticket(app: App, caller: Identity, *, idempotency_key: str, id: str) -> dict[str, Any]:
    """Close a ticket. What the customer has not agreed to is not debited.

    Args:
        app: the parts.
        caller: support; or a customer, as long as support has not begun.
        idempotency_key: the same for every retry of this request.
        id: the ticket.

    Returns:
        ``{"ticket", "replayed", "status"}``; status 202 while credits has not answered.

    Raises:
        Refusal: `forbidden`; `not_found`; `ticket_not_open`, `ticket_busy`; `work_has_begun`;
            `idempotency_key_reused`, `idempotency_key_in_flight`.
    """
    caller.require(*OPENERS, *WORKERS)
    with app.database.transaction() as tx:
        known = IdempotencyKeys(tx, caller.organization_id).begin(
            idempotency_key, request_hash("close_ticket", {"id": id}), id
        )
        if known is None:
            ticket = views.existing(storage.lock_ticket(tx, id, views.scope_of(caller)))
            check_live(ticket)
            if caller.role not in STAFF and ticket.begun_at is not None:
                raise conflict(
                    "work_has_begun", "Support works on this ticket already. Write that you need nothing more."
                )  # fmt: skip
        begun = known or _settle(app, tx, caller, idempotency_key, ticket, ticket.debit)
    return finish(app, begun)


def give_back_defect(app: App, caller: Identity, *, idempotency_key: str, id: str, reason: str) -> dict[str, Any]:
    """Find that a ticket was about a mistake of ours: nothing of it is debited, and what was comes back.

    Args:
        app: the parts.
        caller: support, or a superuser.
        idempotency_key: the same for every retry of this request.
        id: the ticket, live or closed.
        reason: for the customer to read.

    Returns, Raises: as for `close_ticket`; `ticket_is_defect`: it was found before.
    """
    caller.require(*WORKERS)
    with app.database.transaction() as tx:
        known = IdempotencyKeys(tx, caller.organization_id).begin(
            idempotency_key, request_hash("give_back_defect", {"id": id, "reason": reason}), id
        )
        begun = known or _give_back(app, tx, caller, idempotency_key, id, reason)
    return finish(app, begun)


def _give_back(app: App, tx: Transaction, caller: Identity, key: str, ticket_id: str, reason: str) -> Ticket:
    ticket = views.existing(storage.lock_ticket(tx, ticket_id))
    check_idle(ticket)
    if ticket.defect_at is not None:
        raise conflict("ticket_is_defect", "This was found before, and the credits were given back.")
    tx.audit(caller, "ticket.defect_found", ticket_id, ticket.organization_id, reason=reason)
    found = {"defect_at": tx.now, "defect_reason": reason}
    if ticket.state is State.CLOSED:
        return begin(app, tx, ticket, Step.GIVE_BACK, "", caller.organization_id, key, **found)
    check_live(ticket)
    return _settle(app, tx, caller, key, ticket, 0, **found)


def _settle(
    app: App, tx: Transaction, caller: Identity, key: str, ticket: Ticket, spent: int, **found: Any
) -> Ticket:  # fmt: skip
    tx.audit(caller, "ticket.closed", ticket.id, ticket.organization_id, debited_credits=spent)
    asked = storage.asked_overrun(tx, ticket.id)
    if asked is not None:
        storage.end_overrun(tx, asked["id"], OverrunState.WITHDRAWN)
    return begin(
        app, tx, ticket, Step.SETTLE, str(spent), caller.organization_id, key, state=State.CLOSING,
        written_off_minutes=ticket.worked_minutes - spent, **found,
    )  # fmt: skip
