"""What comes in and goes out: RPC requests and replies, the events support emits, and what it reads of others."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.messages import (
    EventType,
    Paragraphs,
    PlainString,
    RequestSchema,
    StrictBoolean,
    StrictInteger,
    TolerantSchema,
    UtcDateTime,
)
from kernel.card_numbers import contains_card_number
from support.domain.tickets import State

#: More than any ticket costs; keeps a number that no database column holds out of the rules.
_MOST_CREDITS = 1_000_000
#: The longest piece of work in one entry: a day.
_MOST_MINUTES = 24 * 60
_STATES = [str(state) for state in State]


def _identifier(**options: Any) -> PlainString:
    return PlainString(max_length=64, **options)


def _moment(**options: Any) -> fields.String:
    """A moment that is RFC 3339 text already: stored answers are replayed as they were."""
    return fields.String(metadata={"format": "date-time"}, **options)


def _no_card_number(value: str) -> None:
    if contains_card_number(value):
        raise ValidationError("This looks like a card number. Card numbers go to the payment provider only.")


def _printable(value: str) -> None:
    if not value.isprintable():
        raise ValidationError("Use printable characters only.")


def _idempotency_key() -> fields.String:
    return fields.String(required=True, validate=[validate.Length(min=1, max=255), _printable])


def _cap() -> StrictInteger:
    return StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST_CREDITS))


# --- requests ---


class PageRequest(RequestSchema):
    """Which part of a list."""

    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=200))


class Preflight(RequestSchema):
    """The deployment that a ticket would be about, and the credits that it would hold."""

    deployment_id = _identifier(required=True)
    cap_credits = StrictInteger(load_default=1, validate=validate.Range(min=1, max=_MOST_CREDITS))


class OpenTicket(RequestSchema):
    """A new ticket."""

    idempotency_key = _idempotency_key()
    deployment_id = _identifier(required=True)
    subject = PlainString(required=True, max_length=200, validate=_no_card_number)
    description = Paragraphs(required=True, validate=_no_card_number)
    cap_credits = _cap()


class GetTicket(RequestSchema):
    """Names one ticket."""

    id = _identifier(required=True)


class ListTickets(PageRequest):
    """Tickets of the caller's organisation."""

    state = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(_STATES))
    deployment_id = _identifier(load_default=None, allow_none=True)


class ListQueue(ListTickets):
    """Tickets of any organisation, for staff."""

    organization_id = _identifier(load_default=None, allow_none=True)


class ListComments(PageRequest):
    """What was written about a ticket."""

    id = _identifier(required=True)


class AddComment(RequestSchema):
    """Something to say about a ticket; internal: for staff only."""

    idempotency_key = _idempotency_key()
    id = _identifier(required=True)
    text = Paragraphs(required=True, validate=_no_card_number)
    internal = StrictBoolean(load_default=False)


class AddTime(RequestSchema):
    """Time worked, or an entry to take back."""

    idempotency_key = _idempotency_key()
    id = _identifier(required=True)
    minutes = StrictInteger(load_default=None, allow_none=True, validate=validate.Range(min=1, max=_MOST_MINUTES))
    reverses = _identifier(load_default=None, allow_none=True)
    worked_on = fields.Date(load_default=None, allow_none=True, format="iso")
    note = PlainString(required=True, max_length=400, validate=_no_card_number)

    @validates_schema
    def _one_choice(self, data: dict[str, Any], **options: Any) -> None:
        if (data["minutes"] is None) == (data["reverses"] is None):
            raise ValidationError("Say either minutes or reverses.")


class AnswerOverrun(RequestSchema):
    """The customer's yes or no to more credits; `expected_credits` is what they have seen."""

    idempotency_key = _idempotency_key()
    id = _identifier(required=True)
    approve = StrictBoolean(required=True)
    expected_credits = StrictInteger(load_default=None, allow_none=True, validate=validate.Range(min=1))


class CloseTicket(RequestSchema):
    """Nothing more is to be done."""

    idempotency_key = _idempotency_key()
    id = _identifier(required=True)


class GiveBackDefect(CloseTicket):
    """The ticket was about a mistake of ours."""

    reason = PlainString(required=True, max_length=400, validate=_no_card_number)


class ReopenTicket(CloseTicket):
    """It is not over."""

    cap_credits = _cap()


# --- replies ---


class Named(TolerantSchema):
    """Something by its id and name."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class Objection(TolerantSchema):
    """What stands in the way of a ticket."""

    code = fields.String(required=True)
    detail = fields.String(required=True)


class BoundContract(TolerantSchema):
    """A contract of a deployment."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    bound_at = _moment(required=True)
    starts_on = fields.String(required=True, allow_none=True, metadata={"format": "date"})
    ends_on = fields.String(required=True, allow_none=True, metadata={"format": "date"})


class PreflightReply(TolerantSchema):
    """Whether a ticket would be accepted, and everything that stands in its way."""

    accepted = fields.Boolean(required=True)
    reasons = fields.List(fields.Nested(Objection), required=True)
    deployment = fields.Nested(Named, required=True)
    contracts = fields.List(fields.Nested(BoundContract), required=True)
    balance = StrictInteger(required=True)
    cap_credits = StrictInteger(required=True)


class TicketCredits(TolerantSchema):
    """The credits of a ticket, each of them a minute.

    `cap`, `worked` and `written_off` are of the time since it was last opened; `debited` and `given_back` of all.
    """

    cap = StrictInteger(required=True)
    worked = StrictInteger(required=True)
    written_off = StrictInteger(required=True)
    debited = StrictInteger(required=True)
    given_back = StrictInteger(required=True)


class AskedOverrun(TolerantSchema):
    """More credits that a ticket needs, and that the customer has not decided about."""

    id = fields.String(required=True)
    credits = StrictInteger(required=True)
    asked_at = _moment(required=True)


class Defect(TolerantSchema):
    """Why the credits of a ticket were given back."""

    found_at = _moment(required=True)
    reason = fields.String(required=True)


class Requester(Named):
    """Who opened a ticket."""


class TicketSummary(TolerantSchema):
    """A ticket in a list."""

    id = fields.String(required=True)
    number = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(_STATES))
    subject = fields.String(required=True)
    organization = fields.Nested(Named, required=True)
    deployment = fields.Nested(Named, required=True)
    requester = fields.Nested(Requester, required=True)
    credits = fields.Nested(TicketCredits, required=True)
    overrun = fields.Nested(AskedOverrun, required=True, allow_none=True)
    defect = fields.Nested(Defect, required=True, allow_none=True)
    opened_at = _moment(required=True)
    updated_at = _moment(required=True)
    closed_at = _moment(required=True, allow_none=True)


class TimeEntry(TolerantSchema):
    """Time worked; negative: another entry is taken back."""

    id = fields.String(required=True)
    minutes = StrictInteger(required=True)
    note = fields.String(required=True)
    worked_on = fields.String(required=True, metadata={"format": "date"})
    worked_by = fields.String(required=True)
    recorded_at = _moment(required=True)
    reverses = fields.String(required=True, allow_none=True)


class Ticket(TicketSummary):
    """A ticket."""

    description = fields.String(required=True)
    time = fields.List(fields.Nested(TimeEntry), required=True)


class TicketReply(TolerantSchema):
    """What became of a request; status 202 while credits has not answered."""

    ticket = fields.Nested(Ticket, required=True)
    status = StrictInteger(required=True, validate=validate.OneOf([200, 201, 202]))
    replayed = fields.Boolean(required=True)


class Tickets(TolerantSchema):
    """A page of tickets."""

    items = fields.List(fields.Nested(TicketSummary), required=True)
    next = fields.String(required=True, allow_none=True)


class Comment(TolerantSchema):
    """What somebody wrote about a ticket."""

    id = fields.String(required=True)
    text = fields.String(required=True)
    internal = fields.Boolean(required=True)
    by_staff = fields.Boolean(required=True)
    author = fields.Nested(Named, required=True)
    written_at = _moment(required=True)


class CommentReply(TolerantSchema):
    """A new comment, and where the ticket stands with it."""

    comment = fields.Nested(Comment, required=True)
    state = fields.String(required=True, validate=validate.OneOf(_STATES))
    replayed = fields.Boolean(required=True)


class Comments(TolerantSchema):
    """A page of comments, oldest first."""

    items = fields.List(fields.Nested(Comment), required=True)
    next = fields.String(required=True, allow_none=True)


class TicketFactsPage(RequestSchema):
    """A page of all tickets, for staff."""

    limit = StrictInteger(load_default=100, validate=validate.Range(min=1, max=500))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class TicketFact(TolerantSchema):
    """Where a ticket's credits are; `step`: what credits is being asked."""

    ticket_id = fields.String(required=True)
    step = fields.String(required=True, allow_none=True)
    held = StrictInteger(required=True)
    debited = StrictInteger(required=True)
    given_back = StrictInteger(required=True)


class TicketFacts(TolerantSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(TicketFact), required=True)
    next = fields.String(required=True, allow_none=True)


# --- what others say ---


class CoveredDeployment(TolerantSchema):
    """A deployment, of accounts."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    state = fields.String(required=True)


class CoveringContract(TolerantSchema):
    """A contract, of accounts."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    bound_at = UtcDateTime(required=True)
    starts_on = fields.Date(load_default=None, allow_none=True)
    ends_on = fields.Date(load_default=None, allow_none=True)


class CoverageReply(TolerantSchema):
    """Reply of ``accounts.get_coverage``."""

    deployment = fields.Nested(CoveredDeployment, required=True)
    contracts = fields.List(fields.Nested(CoveringContract), required=True)


class BalanceReply(TolerantSchema):
    """Reply of ``credits.get_balance``."""

    balance = StrictInteger(required=True)


class HoldReply(TolerantSchema):
    """Reply of what credits does with holds."""

    credits = StrictInteger(required=True)
    spent = StrictInteger(required=True)
    given_back = StrictInteger(required=True)


# --- events ---


class Addressee(TolerantSchema):
    """Who opened the ticket, and gets the mail."""

    user_id = fields.String(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    language = fields.String(required=True)


class TicketEvent(RequestSchema):
    """What all events about a ticket say."""

    ticket_id = fields.String(required=True)
    number = fields.String(required=True)
    subject = fields.String(required=True)
    organization = fields.Nested(Named, required=True)
    deployment = fields.Nested(Named, required=True)
    recipient = fields.Nested(Addressee, required=True)


class TicketOpened(TicketEvent):
    """``support.ticket_opened.v1``: the credits are held. `round` is above 1 if it was opened again."""

    round = StrictInteger(required=True)
    cap_credits = StrictInteger(required=True)
    opened_at = _moment(required=True)


class TicketAnswered(TicketEvent):
    """``support.ticket_answered.v1``: support has written something."""

    comment_id = fields.String(required=True)
    lines = fields.List(fields.String(), required=True)
    author_name = fields.String(required=True)
    answered_at = _moment(required=True)


class OverrunAsked(TicketEvent):
    """``support.overrun_asked.v1``: more time was worked than is held; the customer is to say yes or no."""

    overrun_id = fields.String(required=True)
    cap_credits = StrictInteger(required=True)
    credits = StrictInteger(required=True)
    asked_at = _moment(required=True)


class TicketClosed(TicketEvent):
    """``support.ticket_closed.v1``: what was worked is debited, the rest is back."""

    round = StrictInteger(required=True)
    held = StrictInteger(required=True)
    debited = StrictInteger(required=True)
    returned = StrictInteger(required=True)
    written_off = StrictInteger(required=True)
    defect_reason = fields.String(required=True, allow_none=True)
    closed_at = _moment(required=True)


class DefectCredited(TicketEvent):
    """``support.defect_credited.v1``: it was a mistake of ours; nothing is left debited."""

    given_back = StrictInteger(required=True)
    reason = fields.String(required=True)
    credited_at = _moment(required=True)


_ORGANIZATION = {"id": "org_01K0ACME", "name": "Acme"}
_DEPLOYMENT = {"id": "14181336", "name": "Berlin HQ"}
_EVENT = {
    "ticket_id": "tkt_01K0", "number": "T-1001", "subject": "Calls drop after a minute",
    "organization": _ORGANIZATION, "deployment": _DEPLOYMENT,
    "recipient": {"user_id": "usr_01K0ADA", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
}  # fmt: skip

TICKET_OPENED = EventType(
    "support.ticket_opened.v1",
    TicketOpened(),
    {**_EVENT, "round": 1, "cap_credits": 60, "opened_at": "2026-11-24T12:00:00.000Z"},
)
TICKET_ANSWERED = EventType(
    "support.ticket_answered.v1",
    TicketAnswered(),
    {
        **_EVENT,
        "comment_id": "cmt_01K0",
        "lines": ["We have found the cause.", "A fix comes tonight."],
        "author_name": "Sam Stone",
        "answered_at": "2026-11-24T13:00:00.000Z",
    },
)
OVERRUN_ASKED = EventType(
    "support.overrun_asked.v1",
    OverrunAsked(),
    {**_EVENT, "overrun_id": "ovr_01K0", "cap_credits": 60, "credits": 30, "asked_at": "2026-11-24T14:00:00.000Z"},
)
TICKET_CLOSED = EventType(
    "support.ticket_closed.v1",
    TicketClosed(),
    {
        **_EVENT,
        "round": 1,
        "held": 90,
        "debited": 75,
        "returned": 15,
        "written_off": 0,
        "defect_reason": None,
        "closed_at": "2026-11-24T15:00:00.000Z",
    },
)
DEFECT_CREDITED = EventType(
    "support.defect_credited.v1",
    DefectCredited(),
    {**_EVENT, "given_back": 75, "reason": "A defect of release 21", "credited_at": "2026-11-25T09:00:00.000Z"},
)
EVENTS = (TICKET_OPENED, TICKET_ANSWERED, OVERRUN_ASKED, TICKET_CLOSED, DEFECT_CREDITED)

_SUMMARY = {
    "id": "tkt_01K0",
    "number": "T-1001",
    "state": "waiting_for_customer",
    "subject": "Calls drop after a minute",
    "organization": _ORGANIZATION,
    "deployment": _DEPLOYMENT,
    "requester": {"id": "usr_01K0ADA", "name": "Ada Buyer"},
    "credits": {"cap": 60, "worked": 90, "written_off": 0, "debited": 0, "given_back": 0},
    "overrun": {"id": "ovr_01K0", "credits": 30, "asked_at": "2026-11-24T14:00:00.000Z"},
    "defect": None,
    "opened_at": "2026-11-24T12:00:00.000Z",
    "updated_at": "2026-11-24T14:00:00.000Z",
    "closed_at": None,
}
_TICKET = {
    **_SUMMARY,
    "description": "Every call ends after 60 seconds.\nIt began yesterday.",
    "time": [
        {
            "id": "tme_01K0",
            "minutes": 90,
            "note": "Traced the calls",
            "worked_on": "2026-11-24",
            "worked_by": "Sam Stone",
            "recorded_at": "2026-11-24T14:00:00.000Z",
            "reverses": None,
        }
    ],
}
_COMMENT = {
    "id": "cmt_01K0",
    "text": "We have found the cause.\nA fix comes tonight.",
    "internal": False,
    "by_staff": True,
    "author": {"id": "usr_01K0SAM", "name": "Sam Stone"},
    "written_at": "2026-11-24T13:00:00.000Z",
}
_DONE = {"ticket": _TICKET, "status": 200, "replayed": False}
_ONE = {"idempotency_key": "5f0c", "id": "tkt_01K0"}
RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "preflight": {
        "request": {"deployment_id": "14181336", "cap_credits": 60},
        "reply": {
            "accepted": False,
            "reasons": [
                {
                    "code": "insufficient_credits",
                    "detail": "Your organization has 30 credits, and this ticket is to hold 60.",
                }
            ],
            "deployment": _DEPLOYMENT,
            "contracts": [
                {
                    "sku": "CONTRACT-1Y",
                    "name": "Support contract",
                    "bound_at": "2026-11-22T12:00:00.000Z",
                    "starts_on": "2026-11-22",
                    "ends_on": "2027-11-21",
                }
            ],
            "balance": 30,
            "cap_credits": 60,
        },
    },
    "open_ticket": {
        "request": {
            "idempotency_key": "5f0c",
            "deployment_id": "14181336",
            "subject": "Calls drop after a minute",
            "description": "Every call ends after 60 seconds.\nIt began yesterday.",
            "cap_credits": 60,
        },
        "reply": {**_DONE, "status": 201},
    },
    "get_ticket": {"request": {"id": "tkt_01K0"}, "reply": _TICKET},
    "get_any_ticket": {"request": {"id": "tkt_01K0"}, "reply": _TICKET},
    "list_tickets": {
        "request": {"state": None, "deployment_id": None, "limit": 20, "cursor": None},
        "reply": {"items": [_SUMMARY], "next": None},
    },
    "list_queue": {
        "request": {
            "state": "waiting_for_customer",
            "deployment_id": None,
            "organization_id": None,
            "limit": 20,
            "cursor": None,
        },
        "reply": {"items": [_SUMMARY], "next": None},
    },
    "ticket_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {
            "items": [{"ticket_id": "tkt_01K0", "step": None, "held": 60, "debited": 0, "given_back": 0}],
            "next": None,
        },
    },
    "list_comments": {
        "request": {"id": "tkt_01K0", "limit": 20, "cursor": None},
        "reply": {"items": [_COMMENT], "next": None},
    },
    "add_comment": {
        "request": {**_ONE, "text": "We have found the cause.\nA fix comes tonight.", "internal": False},
        "reply": {"comment": _COMMENT, "state": "waiting_for_customer", "replayed": False},
    },
    "add_time": {
        "request": {**_ONE, "minutes": 90, "reverses": None, "worked_on": "2026-11-24", "note": "Traced the calls"},
        "reply": {**_DONE, "status": 201},
    },
    "answer_overrun": {
        "request": {**_ONE, "approve": True, "expected_credits": 30},
        "reply": {**_DONE, "ticket": {**_TICKET, "state": "open", "overrun": None}},
    },
    "close_ticket": {
        "request": _ONE,
        "reply": {
            **_DONE,
            "ticket": {**_TICKET, "state": "closed", "overrun": None, "closed_at": "2026-11-24T15:00:00.000Z"},
        },
    },
    "give_back_defect": {
        "request": {**_ONE, "reason": "A defect of release 21"},
        "reply": {
            **_DONE,
            "ticket": {
                **_TICKET,
                "state": "closed",
                "overrun": None,
                "closed_at": "2026-11-24T15:00:00.000Z",
                "credits": {"cap": 90, "worked": 75, "written_off": 0, "debited": 75, "given_back": 75},
                "defect": {"found_at": "2026-11-25T09:00:00.000Z", "reason": "A defect of release 21"},
            },
        },
    },
    "reopen_ticket": {
        "request": {**_ONE, "cap_credits": 30},
        "reply": {**_DONE, "ticket": {**_TICKET, "state": "open", "overrun": None}},
    },
}
