"""Open a ticket (mission, clause 32)."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, Transaction, find_answer, request_hash
from kernel.ids import new_id
from support import storage
from support.bootstrap import App
from support.domain.preflight import OPENERS, Coverage
from support.domain.tickets import State, Step, Ticket, next_attempt_at
from support.use_cases.preflight import look
from support.use_cases.proceed import finish

#: The first number is T-1001.
_FIRST_SERIAL = 1000


def open_ticket(
    app: App,
    caller: Identity,
    *,
    idempotency_key: str,
    deployment_id: str,
    subject: str,
    description: str,
    cap_credits: int,
) -> dict[str, Any]:
    """Open a ticket: write it down, hold its credits, then have support look at it.

    Args:
        app: the parts.
        caller: whose organisation pays.
        idempotency_key: the same for every retry of this request.
        deployment_id: of the caller's organisation or of one that it manages, as accounts says.
        subject: a line.
        description: what is wrong.
        cap_credits: reserved for it; nothing beyond is debited without another yes.

    Returns:
        ``{"ticket", "replayed", "status"}``; status 202 while credits has not answered.

    Raises:
        Refusal: `forbidden`; `not_found`; `deployment_retired`, `no_contract`, `insufficient_credits`;
            `idempotency_key_reused`, `idempotency_key_in_flight`; `unavailable`.
    """
    caller.require(*OPENERS)
    wish = {
        "deployment_id": deployment_id, "subject": subject, "description": description, "cap_credits": cap_credits
    }  # fmt: skip
    request = request_hash("open_ticket", wish)
    with app.database.reading() as reader:  # what was answered before does not depend on how things are now
        known = find_answer(reader, caller.organization_id, idempotency_key, request)
    if known is None:
        coverage, _, found = look(app, caller, deployment_id, cap_credits)
        if found:
            raise found[0]
        with app.database.transaction() as tx:
            begun: Ticket | KnownAnswer = _begin(app, tx, caller, coverage, idempotency_key, request, wish)
    else:
        begun = known
    return finish(app, begun)


def _begin(
    app: App, tx: Transaction, caller: Identity, coverage: Coverage, key: str, request: str, wish: dict[str, Any]
) -> Ticket | KnownAnswer:
    """The key and the ticket stand or fall together."""
    ticket_id = new_id("tkt")
    known = IdempotencyKeys(tx, caller.organization_id).begin(key, request, ticket_id)
    if known is not None:
        return known
    settings = app.settings
    ticket = Ticket(
        id=ticket_id,
        number=f"T-{_FIRST_SERIAL + storage.take_serial(tx)}",
        state=State.OPENING,
        round=1,
        organization_id=caller.organization_id,
        organization_name=caller.organization,
        deployment_id=coverage.deployment_id,
        deployment_name=coverage.name,
        requester_id=caller.user_id,
        requester_email=caller.email,
        requester_name=caller.name,
        requester_language=caller.language,
        subject=wish["subject"],
        description=wish["description"],
        cap_credits=wish["cap_credits"],
        worked_minutes=0,
        written_off_minutes=0,
        debited_credits=0,
        given_back_credits=0,
        opened_at=tx.now,
        updated_at=tx.now,
        step=Step.HOLD,
        step_subject=str(wish["cap_credits"]),
        step_scope=caller.organization_id,
        step_key=key,
        next_attempt_at=next_attempt_at(tx.now, 0, settings.resume_after_s, settings.resume_at_most_s),
    )
    storage.insert_ticket(tx, ticket)
    tx.audit(caller, "ticket.opened", ticket_id, caller.organization_id, cap_credits=ticket.cap_credits)
    return ticket
