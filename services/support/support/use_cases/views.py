"""Tickets as the public API and the events show them: JSON values only, so that an answer can be stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chassis.identity import STAFF, Identity
from chassis.persistence import Reader, Row
from kernel.clock import rfc3339
from kernel.errors import not_found
from support import storage
from support.domain.tickets import Ticket


def scope_of(caller: Identity) -> str | None:
    """The organisation whose tickets somebody may see; None for staff, who may see all."""
    return None if caller.role in STAFF else caller.organization_id


def existing(ticket: Ticket | None) -> Ticket:
    """The ticket that was looked for.

    Raises:
        Refusal: `not_found`: there is none, or it is somebody else's.
    """
    if ticket is None:
        raise not_found("ticket")
    return ticket


def summary(ticket: Ticket, overrun: Row | None) -> dict[str, Any]:
    """A ticket in a list.

    Args:
        ticket: the ticket.
        overrun: what the customer is asked, if anything.
    """
    return {
        "id": ticket.id,
        "number": ticket.number,
        "state": str(ticket.state),
        "subject": ticket.subject,
        "organization": {"id": ticket.organization_id, "name": ticket.organization_name},
        "deployment": {"id": ticket.deployment_id, "name": ticket.deployment_name},
        "requester": {"id": ticket.requester_id, "name": ticket.requester_name},
        "credits": {
            "cap": ticket.cap_credits,
            "worked": ticket.worked_minutes,
            "written_off": ticket.written_off_minutes,
            "debited": ticket.debited_credits,
            "given_back": ticket.given_back_credits,
        },
        "overrun": None if overrun is None else {
            "id": overrun["id"], "credits": overrun["credits"], "asked_at": rfc3339(overrun["asked_at"])
        },
        "defect": None if ticket.defect_at is None else {
            "found_at": rfc3339(ticket.defect_at), "reason": ticket.defect_reason
        },
        "opened_at": rfc3339(ticket.opened_at),
        "updated_at": rfc3339(ticket.updated_at),
        "closed_at": _moment(ticket.closed_at),
    }  # fmt: skip


def whole(reader: Reader, ticket_id: str) -> dict[str, Any]:
    """A ticket with its time, as it stands.

    Raises:
        Refusal: `not_found`.
    """
    ticket = existing(storage.read_ticket(reader, ticket_id))
    return {
        **summary(ticket, storage.asked_overrun(reader, ticket_id)),
        "description": ticket.description,
        "time": [_entry(row) for row in storage.time_entries(reader, ticket_id)],
    }


def comment(row: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wrote."""
    return {
        **{name: row[name] for name in ("id", "text", "internal", "by_staff")},
        "author": {"id": row["author_id"], "name": row["author_name"]},
        "written_at": rfc3339(row["written_at"]),
    }


def about(ticket: Ticket) -> dict[str, Any]:
    """What all events about a ticket say."""
    return {
        "ticket_id": ticket.id,
        "number": ticket.number,
        "subject": ticket.subject,
        "organization": {"id": ticket.organization_id, "name": ticket.organization_name},
        "deployment": {"id": ticket.deployment_id, "name": ticket.deployment_name},
        "recipient": {
            "user_id": ticket.requester_id,
            "email": ticket.requester_email,
            "name": ticket.requester_name,
            "language": ticket.requester_language,
        },
    }


def _entry(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "minutes": row["minutes"],
        "note": row["note"],
        "worked_on": row["worked_on"].isoformat(),
        "worked_by": row["worked_by_name"],
        "recorded_at": rfc3339(row["recorded_at"]),
        "reverses": row["reverses_id"],
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
