"""The steps by which credits follow a ticket, each a guarded change in one transaction with all that goes with it.

What is to be asked of credits is committed with the ticket first (`begin`); what came of it is noted here. A process
that dies in between leaves a row that says what to ask again, and credits does it once for its cause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chassis.persistence import IdempotencyKeys, Transaction
from kernel.clock import rfc3339
from kernel.errors import Refusal
from support import storage
from support.bootstrap import App
from support.domain.tickets import OverrunState, State, Step, Ticket, next_attempt_at
from support.messages import DEFECT_CREDITED, TICKET_CLOSED, TICKET_OPENED
from support.use_cases import views

Answer = dict[str, Any]


def begin(
    app: App, tx: Transaction, ticket: Ticket, step: Step, subject: str, scope: str, key: str, **changes: Any
) -> Ticket:
    """Note what credits is to be asked for a ticket.

    Args:
        app: the parts.
        tx: the transaction, which has locked the ticket.
        ticket: as it was.
        step: what is to be asked.
        subject: how much, or for which overrun.
        scope, key: the organisation and the Idempotency-Key of whoever wants it; the answer is kept there.
        changes: what else becomes of the ticket.

    Returns:
        The ticket as it is now.
    """
    settings = app.settings
    noted = {
        **changes, "step": step, "step_subject": subject, "step_scope": scope, "step_key": key, "attempts": 0,
        "next_attempt_at": next_attempt_at(tx.now, 0, settings.resume_after_s, settings.resume_at_most_s),
    }  # fmt: skip
    storage.change_ticket(tx, ticket.id, **noted)
    return replace(ticket, **noted, updated_at=tx.now)


def end(app: App, asked: Ticket, given_back: int = 0) -> tuple[Ticket | None, Answer | None]:
    """Credits has done what it was asked.

    Args:
        app: the parts.
        asked: the ticket as it was when credits was asked.
        given_back: credits, for `Step.GIVE_BACK`.

    Returns:
        The ticket if there is another step to take; and the answer, if it is known.
    """
    with app.database.transaction() as tx:
        ticket = storage.lock_ticket(tx, asked.id)
        if ticket is None or not _same_step(ticket, asked):  # somebody else has resumed it, and was faster
            return None, storage.kept_answer(tx, asked.step_scope, asked.step_key)
        if ticket.step is Step.HOLD:
            _held(tx, ticket)
        elif ticket.step is Step.RAISE:
            _raised(tx, ticket)
        elif ticket.step is Step.SETTLE:
            if again := _settled(app, tx, ticket):
                return again, None
        else:
            _given_back(tx, ticket, given_back)
        status = 201 if ticket.step is Step.HOLD and ticket.closed_at is None else 200
        return None, keep(tx, ticket, {"ticket": views.whole(tx, ticket.id), "status": status})


def refuse(app: App, asked: Ticket, refusal: Refusal) -> Answer | None:
    """Credits said no to holding something: nothing was changed there. The answer, if it is known."""
    with app.database.transaction() as tx:
        ticket = storage.lock_ticket(tx, asked.id)
        if ticket is None or not _same_step(ticket, asked):
            return storage.kept_answer(tx, asked.step_scope, asked.step_key)
        if ticket.step is Step.HOLD:
            _go_on(tx, ticket, state=State.REFUSED if ticket.closed_at is None else State.CLOSED)
        else:
            _go_on(tx, ticket)  # the customer is still asked, and may say yes once there are credits
        return keep(tx, ticket, {"refusal": refusal.as_dict()})


def keep(tx: Transaction, ticket: Ticket, answer: Answer) -> Answer:
    """Keep the answer for whoever asks again."""
    IdempotencyKeys(tx, str(ticket.step_scope)).finish(str(ticket.step_key), answer)
    return answer


def _same_step(one: Ticket, other: Ticket) -> bool:
    return (one.step, one.step_subject, one.step_scope, one.step_key) == (
        other.step, other.step_subject, other.step_scope, other.step_key
    )  # fmt: skip


def _go_on(tx: Transaction, ticket: Ticket, **changes: Any) -> None:
    """The step is over."""
    storage.change_ticket(tx, ticket.id, step=None, next_attempt_at=None, **changes)


def _held(tx: Transaction, ticket: Ticket) -> None:
    cap, number = int(str(ticket.step_subject)), ticket.opening_round
    _go_on(
        tx, ticket, state=State.OPEN, round=number, cap_credits=cap, worked_minutes=0, written_off_minutes=0,
        begun_at=None, closed_at=None,
    )  # fmt: skip
    event = {**views.about(ticket), "round": number, "cap_credits": cap, "opened_at": rfc3339(tx.now)}
    tx.emit(TICKET_OPENED, event)


def _raised(tx: Transaction, ticket: Ticket) -> None:
    overrun = storage.read_overrun(tx, str(ticket.step_subject))
    if overrun is None:
        raise RuntimeError(f"ticket {ticket.id} was raised for an overrun that does not exist")
    storage.end_overrun(tx, overrun["id"], OverrunState.APPROVED, overrun["answered_by"])
    _go_on(tx, ticket, state=State.OPEN, cap_credits=ticket.cap_credits + overrun["credits"])


def _settled(app: App, tx: Transaction, ticket: Ticket) -> Ticket | None:
    """The ticket if what former rounds have spent is to be given back too."""
    spent = int(str(ticket.step_subject))
    changes = {"state": State.CLOSED, "closed_at": tx.now, "debited_credits": ticket.debited_credits + spent}
    tx.emit(
        TICKET_CLOSED,
        {
            **views.about(ticket),
            "round": ticket.round,
            "held": ticket.cap_credits,
            "debited": spent,
            "returned": ticket.cap_credits - spent,
            "written_off": ticket.written_off_minutes,
            "defect_reason": ticket.defect_reason,
            "closed_at": rfc3339(tx.now),
        },
    )
    if ticket.defect_at is None or not ticket.debited_credits:
        _go_on(tx, ticket, **changes)
        return None
    return begin(
        app, tx, ticket, Step.GIVE_BACK, "", str(ticket.step_scope), str(ticket.step_key), **changes
    )  # fmt: skip


def _given_back(tx: Transaction, ticket: Ticket, credits: int) -> None:
    _go_on(tx, ticket, given_back_credits=credits)
    if credits:
        event = {"given_back": credits, "reason": ticket.defect_reason, "credited_at": rfc3339(tx.now)}
        tx.emit(DEFECT_CREDITED, {**views.about(ticket), **event})
