"""Go on with a ticket from wherever it stands, until credits has done its part or does not answer."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from chassis import failpoints
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import Transaction, in_flight, refuse_as_kept
from kernel.errors import Kind, Refusal, conflict
from support import storage
from support.bootstrap import App
from support.domain.tickets import Step, Ticket, next_attempt_at
from support.use_cases import steps, views

log = logging.getLogger(__name__)

#: Answers of credits by which it has certainly held nothing.
_FINAL = frozenset({Kind.CONFLICT, Kind.INVALID, Kind.NOT_FOUND, Kind.FORBIDDEN})
#: What credits may say no to. It cannot refuse to settle or to give back: that would be a defect, and is tried on.
_REFUSABLE = frozenset({Step.HOLD, Step.RAISE})
#: Tickets in one run at most, so that a run ends.
_TICKETS_A_RUN = 100


def proceed(app: App, ticket: Ticket) -> steps.Answer | None:
    """Do the steps that are left.

    Args:
        app: the parts.
        ticket: one that nobody else is at.

    Returns:
        The answer kept under its Idempotency-Key; None if it is not known yet.
    """
    going: Ticket | None = ticket
    answer = None
    while going is not None:
        try:
            given_back = _ask(app, going)
        except Refusal as refusal:
            if going.step in _REFUSABLE and refusal.kind in _FINAL:
                return steps.refuse(app, going, refusal)
            log.warning("a ticket is not known yet; it will be resumed", extra={"code": refusal.code})
            return None
        failpoints.reach("support.asked")
        going, answer = steps.end(app, going, given_back)
    return answer


def _ask(app: App, ticket: Ticket) -> int:
    """Ask credits what the step says; what was given back, or 0."""
    subject = str(ticket.step_subject)
    if ticket.step is Step.HOLD:
        app.credits.hold(ticket, int(subject))
    elif ticket.step is Step.RAISE:
        with app.database.reading() as reader:
            overrun = storage.read_overrun(reader, subject)
        if overrun is None:
            raise RuntimeError(f"ticket {ticket.id} is to be raised for an overrun that does not exist")
        app.credits.raise_hold(ticket, subject, overrun["credits"])
    elif ticket.step is Step.SETTLE:
        app.credits.settle(ticket, int(subject))
    else:
        return app.credits.give_back(ticket)
    return 0


def resume_tickets(app: App) -> None:
    """Go on with every ticket whose lease has run out; several processes share them without overlapping.

    The first that is not known yet ends the run: whoever does not answer is asked once a run, not once a ticket.
    """
    for _ in range(_TICKETS_A_RUN):
        with app.database.transaction() as tx:
            ticket = claim(app, tx)
        if ticket is None or proceed(app, ticket) is None:
            return


def claim(app: App, tx: Transaction, ticket_id: str | None = None) -> Ticket | None:
    """A ticket to resume (that one, or any), with a lease on it that grows with every attempt."""
    settings = app.settings
    ticket = storage.claim_ticket(tx, timedelta(seconds=settings.resume_at_most_s), ticket_id)
    if ticket is not None:
        until = next_attempt_at(tx.now, ticket.attempts + 1, settings.resume_after_s, settings.resume_at_most_s)
        storage.lease_ticket(tx, ticket, until)
    return ticket


def finish(app: App, begun: Ticket | KnownAnswer) -> dict[str, Any]:
    """The answer to a request that moves credits: now, or again under the same Idempotency-Key.

    Args:
        app: the parts.
        begun: the ticket with a step that was just begun; or what is known of the key.

    Raises:
        Refusal: the answer is one; `idempotency_key_in_flight`.
    """
    if isinstance(begun, Ticket):
        answer = proceed(app, begun)
        return _not_known_yet(app, begun.id, replayed=False) if answer is None else reply(answer, replayed=False)
    if begun.answer is not None:
        return reply(begun.answer, replayed=True)
    with app.database.transaction() as tx:
        ticket = claim(app, tx, begun.subject_id)
    if ticket is None:
        raise in_flight()
    answer = proceed(app, ticket)
    return _not_known_yet(app, ticket.id, replayed=True) if answer is None else reply(answer, replayed=True)


def replay_of(known: KnownAnswer) -> dict[str, Any]:
    """The answer to a request whose effect and key stand in one transaction: it is there.

    Raises:
        Refusal: `idempotency_key_in_flight`, should it not be.
    """
    if known.answer is None:
        raise conflict("idempotency_key_in_flight", "The first request with this Idempotency-Key is still under way.")
    return reply(known.answer, replayed=True)


def reply(answer: steps.Answer, *, replayed: bool) -> dict[str, Any]:
    """A kept answer as it is given.

    Raises:
        Refusal: the answer is one.
    """
    refuse_as_kept(answer, replayed=replayed)
    return {**answer, "replayed": replayed}


def _not_known_yet(app: App, ticket_id: str, *, replayed: bool) -> dict[str, Any]:
    with app.database.reading() as reader:
        return {"ticket": views.whole(reader, ticket_id), "status": 202, "replayed": replayed}
