"""Write something about a ticket."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from kernel.clock import rfc3339
from kernel.errors import Kind, Refusal, conflict
from kernel.ids import new_id
from support import storage
from support.bootstrap import App
from support.domain.preflight import OPENERS, WORKERS
from support.domain.tickets import LIVE, State, Ticket
from support.messages import TICKET_ANSWERED
from support.use_cases import views
from support.use_cases.proceed import replay_of


def add_comment(
    app: App, caller: Identity, *, idempotency_key: str, id: str, text: str, internal: bool
) -> dict[str, Any]:
    """Write something. After support has, the customer is awaited; after the customer has, support is.

    Args:
        app: the parts.
        caller: somebody who may open tickets, or support.
        idempotency_key: the same for every retry of this request.
        id: the ticket.
        text: what to say.
        internal: whether only staff may read it.

    Raises:
        Refusal: `forbidden`; `not_found`; `ticket_not_open`; `idempotency_key_reused`.
    """
    caller.require(*OPENERS, *WORKERS)
    by_staff = caller.role in STAFF
    if internal and not by_staff:
        raise Refusal(Kind.FORBIDDEN, "forbidden", "Only support writes internal comments.")
    wish = {"id": id, "text": text, "internal": internal}
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request_hash("add_comment", wish), id):
            return replay_of(known)
        ticket = views.existing(storage.lock_ticket(tx, id, views.scope_of(caller)))
        if ticket.state not in LIVE and not internal:
            raise conflict(
                "ticket_not_open", f"This ticket is {ticket.state}; if it is closed, open it again.",
                extra={"state": str(ticket.state)},
            )  # fmt: skip
        comment = {
            "id": new_id("cmt"), "ticket_id": id, "text": text, "internal": internal, "by_staff": by_staff,
            "author_id": caller.user_id, "author_name": caller.name, "written_at": tx.now,
        }  # fmt: skip
        tx.insert(storage.COMMENT, comment)
        state = ticket.state if internal else _passed_on(tx, ticket, by_staff)
        if by_staff and not internal:
            tx.emit(
                TICKET_ANSWERED,
                {**views.about(ticket), "comment_id": comment["id"], "lines": text.split("\n"),
                 "author_name": caller.name, "answered_at": rfc3339(tx.now)},
            )  # fmt: skip
        answer = {"comment": views.comment(comment), "state": str(state)}
        keys.finish(idempotency_key, answer)
    return {**answer, "replayed": False}


def _passed_on(tx: Transaction, ticket: Ticket, by_staff: bool) -> State:
    """It is the other side's turn; a customer who is asked for credits still owes that answer."""
    if by_staff:
        storage.change_ticket(tx, ticket.id, state=State.WAITING_FOR_CUSTOMER, begun_at=ticket.begun_at or tx.now)
        return State.WAITING_FOR_CUSTOMER
    asked = storage.asked_overrun(tx, ticket.id) is not None
    state = State.WAITING_FOR_CUSTOMER if asked else State.OPEN
    storage.change_ticket(tx, ticket.id, state=state)
    return state
