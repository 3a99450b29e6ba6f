"""A ticket: its states, the credits it holds, and what of the worked time may be debited (mission, clause 32, B6).

One credit is one minute. A ticket holds credits up to its cap. Time beyond the cap is kept, and debited only if the
customer says yes; if not, it is written off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kernel.errors import conflict


class State(StrEnum):
    """Where a ticket stands. The values are stored and public: never rename one."""

    OPENING = "opening"  # written down; the credits are about to be held
    REFUSED = "refused"  # the credits could not be held: nobody will work on it
    OPEN = "open"  # support is to do something
    WAITING_FOR_CUSTOMER = "waiting_for_customer"  # an answer or a yes to more time is awaited
    CLOSING = "closing"  # nothing more is worked; the credits are about to be settled
    CLOSED = "closed"  # what was worked is debited, the rest is back


class Step(StrEnum):
    """What credits is being asked for a ticket, one thing at a time; whoever resumes it asks the same again. Stored."""

    HOLD = "hold"  # reserve the cap
    RAISE = "raise"  # reserve what an overrun needs
    SETTLE = "settle"  # spend what was worked, return the rest
    GIVE_BACK = "give_back"  # what was spent, since it was a defect


class OverrunState(StrEnum):
    """What became of a question for more credits. Stored."""

    ASKED = "asked"  # the customer has not said anything
    APPROVED = "approved"
    DECLINED = "declined"  # the time is written off
    WITHDRAWN = "withdrawn"  # the time was corrected, more was asked for, or the ticket was closed


#: The states in which time is worked and comments are written.
LIVE = (State.OPEN, State.WAITING_FOR_CUSTOMER)

_NEXT: Mapping[State, frozenset[State]] = {
    State.OPENING: frozenset({State.OPEN, State.REFUSED, State.CLOSED}),
    State.OPEN: frozenset({State.WAITING_FOR_CUSTOMER, State.CLOSING}),
    State.WAITING_FOR_CUSTOMER: frozenset({State.OPEN, State.CLOSING}),
    State.CLOSING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset({State.OPENING}),
    State.REFUSED: frozenset(),
}


def may_follow(state: State, target: State) -> bool:
    """Whether a ticket may go from one state to another."""
    return target in _NEXT[state]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket; the fields are the columns of its row (see `support.storage.TICKET`).

    Args:
        round: 1, and one more each time it is opened again; each has a hold of its own.
        cap_credits: held in this round.
        worked_minutes: the sum of this round's time entries.
        written_off_minutes: of these, what the customer did not want to pay.
        debited_credits: in all settled rounds.
        given_back_credits: of these, because it was a defect.
        step: what credits is being asked; None: nothing.
        step_subject: the credits to hold or to spend; for `Step.RAISE`, the overrun.
        step_scope, step_key: the organisation and the Idempotency-Key of whoever asked.
    """

    id: str
    number: str
    state: State
    round: int
    organization_id: str
    organization_name: str
    deployment_id: str
    deployment_name: str
    requester_id: str
    requester_email: str
    requester_name: str
    requester_language: str
    subject: str
    description: str
    cap_credits: int
    worked_minutes: int
    written_off_minutes: int
    debited_credits: int
    given_back_credits: int
    opened_at: datetime
    updated_at: datetime
    attempts: int = 0
    next_attempt_at: datetime | None = None
    step: Step | None = None
    step_subject: str | None = None
    step_scope: str | None = None
    step_key: str | None = None
    closed_at: datetime | None = None
    defect_at: datetime | None = None
    defect_reason: str | None = None
    begun_at: datetime | None = None

    @property
    def opening_round(self) -> int:
        """The round that begins once the credits are held: the first, or one more than those that were closed."""
        return self.round if self.closed_at is None else self.round + 1

    @property
    def payable_minutes(self) -> int:
        """What was worked and not written off."""
        return self.worked_minutes - self.written_off_minutes

    @property
    def debit(self) -> int:
        """The credits that closing it now takes: never more than the customer has agreed to."""
        return min(self.payable_minutes, self.cap_credits)

    @property
    def overrun(self) -> int:
        """The minutes beyond the cap that the customer has not decided about."""
        return max(0, self.payable_minutes - self.cap_credits)


def written_off_after(written_off: int, worked: int, cap: int) -> int:
    """What stays written off once time was corrected: no more than there is beyond the cap.

    Args:
        written_off: minutes, so far.
        worked: minutes, with the correction.
        cap: credits.
    """
    return min(written_off, max(0, worked - cap))


def check_live(ticket: Ticket) -> None:
    """Refuse what can only be done while somebody works on a ticket.

    Raises:
        Refusal: `ticket_not_open`; `ticket_busy` while credits is being asked.
    """
    check_idle(ticket)
    if ticket.state not in LIVE:
        raise conflict("ticket_not_open", f"This ticket is {ticket.state}.", extra={"state": str(ticket.state)})


def check_idle(ticket: Ticket) -> None:
    """Refuse to begin something while something else is under way.

    Raises:
        Refusal: `ticket_busy`.
    """
    if ticket.step is not None:
        raise conflict("ticket_busy", "The credits of this ticket are being moved. Ask again in a moment.")


def check_reopenable(ticket: Ticket, now: datetime, days: int) -> None:
    """Refuse to open again what was not closed a short while ago.

    Args:
        ticket: the ticket.
        now: when.
        days: for how long after it was closed.

    Raises:
        Refusal: `ticket_busy`; `ticket_not_closed`, `ticket_is_defect`, `ticket_closed_too_long`.
    """
    check_idle(ticket)
    if ticket.state is not State.CLOSED or ticket.closed_at is None:
        raise conflict("ticket_not_closed", "Only a closed ticket can be opened again.")
    if ticket.defect_at is not None:
        raise conflict("ticket_is_defect", "This ticket was found to be a defect and given back. Open a new one.")
    if now > ticket.closed_at + timedelta(days=days):
        raise conflict(
            "ticket_closed_too_long", f"This ticket was closed more than {days} days ago. Open a new one."
        )  # fmt: skip


def next_attempt_at(now: datetime, attempts: int, first_s: int, most_s: int) -> datetime:
    """When credits is asked again if it did not answer: in `first_s` seconds, doubling, `most_s` at most."""
    return now + timedelta(seconds=min(first_s * 2 ** min(attempts, 16), most_s))
