"""Note time that was worked on a ticket, or take an entry back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from kernel.clock import rfc3339
from kernel.errors import conflict, invalid, not_found
from kernel.ids import new_id
from support import storage
from support.bootstrap import App
from support.domain.preflight import WORKERS
from support.domain.tickets import OverrunState, State, Ticket, check_live, written_off_after
from support.messages import OVERRUN_ASKED
from support.use_cases import views
from support.use_cases.proceed import replay_of

#: Entries of one ticket; who needs more has a project, not a ticket.
_MOST_ENTRIES = 500
#: The day is already tomorrow for whoever is furthest east of UTC.
_AHEAD = timedelta(hours=14)


def add_time(
    app: App,
    caller: Identity,
    *,
    idempotency_key: str,
    id: str,
    minutes: int | None,
    reverses: str | None,
    worked_on: date | None,
    note: str,
) -> dict[str, Any]:
    """Note time. An entry is never changed: a wrong one is taken back by another, and noted anew.

    Time beyond the cap is kept, and the customer is asked for the credits.

    Args:
        app: the parts.
        caller: support, or a superuser.
        idempotency_key: the same for every retry of this request.
        id: the ticket.
        minutes: worked; or None, to take an entry back.
        reverses: that entry.
        worked_on: the day; today (UTC) unless told.
        note: what was done, for the customer to read.

    Returns:
        ``{"ticket", "replayed", "status"}``.

    Raises:
        Refusal: `forbidden`; `not_found`; `ticket_not_open`, `ticket_busy`; `worked_on_in_future`,
            `too_many_time_entries`; `entry_reversed`, `entry_is_reversal`, `entry_settled`; `idempotency_key_reused`.
    """
    caller.require(*WORKERS)
    day = worked_on.isoformat() if worked_on else None
    wish = {"id": id, "minutes": minutes, "reverses": reverses, "worked_on": day, "note": note}
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request_hash("add_time", wish), id):
            return replay_of(known)
        ticket = views.existing(storage.lock_ticket(tx, id))
        check_live(ticket)
        if worked_on is not None and worked_on > (tx.now + _AHEAD).date():
            raise invalid("worked_on_in_future", "This day has not come yet.", "worked_on")
        if storage.count_time_entries(tx, id) >= _MOST_ENTRIES:
            raise conflict("too_many_time_entries", f"A ticket has {_MOST_ENTRIES} time entries at most.")
        change = minutes if minutes is not None else -_to_reverse(tx, ticket, str(reverses))
        entry = {
            "id": new_id("tme"), "ticket_id": id, "round": ticket.round, "minutes": change, "note": note,
            "worked_on": worked_on or tx.now.date(), "worked_by": caller.user_id, "worked_by_name": caller.name,
            "recorded_at": tx.now, "reverses_id": reverses,
        }  # fmt: skip
        tx.insert(storage.TIME_ENTRY, entry)
        _count(tx, ticket, change)
        tx.audit(caller, "ticket.time_noted", id, ticket.organization_id, entry_id=entry["id"], minutes=change)
        answer = {"ticket": views.whole(tx, id), "status": 201}
        keys.finish(idempotency_key, answer)
    return {**answer, "replayed": False}


def _to_reverse(tx: Transaction, ticket: Ticket, entry_id: str) -> int:
    entry = storage.find_time_entry(tx, ticket.id, entry_id)
    if entry is None:
        raise not_found("time entry")
    if entry["reverses_id"] is not None:
        raise conflict("entry_is_reversal", "This entry takes another one back. Note the time anew instead.")
    if entry["round"] != ticket.round:
        raise conflict("entry_settled", "This entry was debited when the ticket was closed before.")
    if storage.is_reversed(tx, entry_id):
        raise conflict("entry_reversed", "This entry was taken back before.")
    return int(entry["minutes"])


def _count(tx: Transaction, ticket: Ticket, change: int) -> None:
    worked = ticket.worked_minutes + change
    written_off = written_off_after(ticket.written_off_minutes, worked, ticket.cap_credits)
    counted = replace(ticket, worked_minutes=worked, written_off_minutes=written_off)
    storage.change_ticket(
        tx, ticket.id, worked_minutes=worked, written_off_minutes=written_off, begun_at=ticket.begun_at or tx.now,
        state=_ask_if_over(tx, counted),
    )  # fmt: skip


def _ask_if_over(tx: Transaction, ticket: Ticket) -> State:
    """Ask the customer for what is missing, once for each amount; the state of the ticket with it."""
    asked = storage.asked_overrun(tx, ticket.id)
    if asked is not None and asked["credits"] == ticket.overrun:
        return ticket.state
    if asked is not None:
        storage.end_overrun(tx, asked["id"], OverrunState.WITHDRAWN)
    if not ticket.overrun:
        return ticket.state if asked is None else State.OPEN
    overrun = {
        "id": new_id("ovr"), "ticket_id": ticket.id, "round": ticket.round, "state": str(OverrunState.ASKED),
        "credits": ticket.overrun, "asked_at": tx.now,
    }  # fmt: skip
    tx.insert(storage.OVERRUN, overrun)
    tx.emit(
        OVERRUN_ASKED,
        {**views.about(ticket), "overrun_id": overrun["id"], "cap_credits": ticket.cap_credits,
         "credits": ticket.overrun, "asked_at": rfc3339(tx.now)},
    )  # fmt: skip
    return State.WAITING_FOR_CUSTOMER
