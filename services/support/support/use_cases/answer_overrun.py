"""Say yes or no to the credits that a ticket needs beyond its cap (mission, B6)."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from kernel.errors import conflict
from support import storage
from support.bootstrap import App
from support.domain.preflight import OPENERS
from support.domain.tickets import OverrunState, State, Step, Ticket, check_live
from support.use_cases import views
from support.use_cases.proceed import finish
from support.use_cases.steps import begin


def answer_overrun(
    app: App, caller: Identity, *, idempotency_key: str, id: str, approve: bool, expected_credits: int | None
) -> dict[str, Any]:
    """Approve or decline. After a no, the time beyond the cap is written off and support goes on within the cap.

    Args:
        app: the parts.
        caller: somebody who may open tickets.
        idempotency_key: the same for every retry of this request.
        id: the ticket.
        approve: yes or no.
        expected_credits: what the customer has seen; None if it does not matter.

    Returns:
        ``{"ticket", "replayed", "status"}``; status 202 while credits has not answered.

    Raises:
        Refusal: `forbidden`; `not_found`; `ticket_not_open`, `ticket_busy`; `overrun_not_asked`; `overrun_changed` with
            what is asked now; `insufficient_credits` with the balance; `idempotency_key_reused`,
            `idempotency_key_in_flight`.
    """
    caller.require(*OPENERS)
    wish = {"id": id, "approve": approve, "expected_credits": expected_credits}
    with app.database.transaction() as tx:
        known = IdempotencyKeys(tx, caller.organization_id).begin(
            idempotency_key, request_hash("answer_overrun", wish), id
        )
        begun = known or _decide(app, tx, caller, idempotency_key, id, approve, expected_credits)
    return finish(app, begun)


def _decide(
    app: App, tx: Transaction, caller: Identity, key: str, ticket_id: str, approve: bool, expected: int | None
) -> Ticket | KnownAnswer:
    ticket = views.existing(storage.lock_ticket(tx, ticket_id, caller.organization_id))
    check_live(ticket)
    asked = storage.asked_overrun(tx, ticket_id)
    if asked is None:
        raise conflict("overrun_not_asked", "Nobody has asked for more credits for this ticket, or not any more.")
    if expected is not None and expected != asked["credits"]:
        raise conflict(
            "overrun_changed", f"The ticket needs {asked['credits']} more credits now. Decide about these.",
            extra={"credits": asked["credits"]},
        )  # fmt: skip
    action = "ticket.overrun_approved" if approve else "ticket.overrun_declined"
    tx.audit(caller, action, ticket_id, ticket.organization_id, credits=asked["credits"])
    if approve:
        storage.note_answer(tx, asked["id"], caller.user_id)
        return begin(app, tx, ticket, Step.RAISE, asked["id"], caller.organization_id, key)
    storage.end_overrun(tx, asked["id"], OverrunState.DECLINED, caller.user_id)
    written_off = ticket.written_off_minutes + asked["credits"]
    storage.change_ticket(tx, ticket_id, state=State.OPEN, written_off_minutes=written_off)
    answer = {"ticket": views.whole(tx, ticket_id), "status": 200}
    IdempotencyKeys(tx, caller.organization_id).finish(key, answer)
    return KnownAnswer(answer, ticket_id)
