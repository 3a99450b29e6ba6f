"""Open a closed ticket again."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, find_answer, request_hash
from support import storage
from support.bootstrap import App
from support.domain.preflight import OPENERS
from support.domain.tickets import State, Step, Ticket, check_reopenable
from support.use_cases import views
from support.use_cases.preflight import look
from support.use_cases.proceed import finish
from support.use_cases.steps import begin


def reopen_ticket(app: App, caller: Identity, *, idempotency_key: str, id: str, cap_credits: int) -> dict[str, Any]:
    """Open a ticket again that was closed a short while ago, with credits held anew.

    Args:
        app: the parts.
        caller: somebody of its organisation who may open tickets.
        idempotency_key: the same for every retry of this request.
        id: the ticket.
        cap_credits: reserved from now on.

    Returns:
        ``{"ticket", "replayed", "status"}``; status 202 while credits has not answered.

    Raises:
        Refusal: as for `open_ticket`; `ticket_busy`, `ticket_not_closed`, `ticket_is_defect`,
            `ticket_closed_too_long`.
    """
    caller.require(*OPENERS)
    request = request_hash("reopen_ticket", {"id": id, "cap_credits": cap_credits})
    days = app.settings.reopen_days
    begun: Ticket | KnownAnswer | None
    with app.database.reading() as reader:
        begun = find_answer(reader, caller.organization_id, idempotency_key, request)
        if begun is None:
            ticket = views.existing(storage.read_ticket(reader, id, caller.organization_id))
            check_reopenable(ticket, reader.now, days)
    if begun is None:
        _, _, found = look(app, caller, ticket.deployment_id, cap_credits)
        if found:
            raise found[0]
        with app.database.transaction() as tx:
            begun = IdempotencyKeys(tx, caller.organization_id).begin(idempotency_key, request, id)
            if begun is None:
                ticket = views.existing(storage.lock_ticket(tx, id, caller.organization_id))
                check_reopenable(ticket, tx.now, days)
                tx.audit(caller, "ticket.reopened", id, ticket.organization_id, cap_credits=cap_credits)
                begun = begin(
                    app, tx, ticket, Step.HOLD, str(cap_credits), caller.organization_id, idempotency_key,
                    state=State.OPENING,
                )  # fmt: skip
    return finish(app, begun)
