"""Tickets and all about them."""

from __future__ import annotations

from marshmallow import Schema, fields

from gateway.outputs.accounts import Party
from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class Objection(Schema):
    """What stands in the way of a ticket."""

    code = TEXT(
        required=True,
        metadata={"description": "forbidden, deployment_retired, no_contract or insufficient_credits"},
    )
    detail = TEXT(required=True)


class BoundContract(Schema):
    """A support contract of a deployment."""

    sku = TEXT(required=True)
    name = TEXT(required=True)
    bound_at = WHEN(required=True)
    starts_on = maybe(fields.Date)
    ends_on = maybe(fields.Date, metadata={"description": "The last day, in UTC; null: without an end"})


class Preflight(Schema):
    """Whether a ticket would be accepted."""

    accepted = fields.Boolean(required=True)
    reasons = fields.List(fields.Nested(Objection), required=True)
    deployment = fields.Nested(Party, required=True)
    contracts = fields.List(fields.Nested(BoundContract), required=True)
    balance = NUMBER(required=True)
    cap_credits = NUMBER(required=True)


class TicketCredits(Schema):
    """The credits of a ticket; each is a minute. The first three are of the time since it was last opened."""

    cap = NUMBER(required=True, metadata={"description": "Held for it"})
    worked = NUMBER(required=True)
    written_off = NUMBER(required=True, metadata={"description": "Of these, what you did not agree to"})
    debited = NUMBER(required=True)
    given_back = NUMBER(required=True)


class AskedOverrun(Schema):
    """More credits that a ticket needs; say yes or no at /v1/tickets/{id}/overrun."""

    id = TEXT(required=True)
    credits = NUMBER(required=True)
    asked_at = WHEN(required=True)


class Defect(Schema):
    """Why the credits of a ticket were given back."""

    found_at = WHEN(required=True)
    reason = TEXT(required=True)


class TicketSummary(Schema):
    """A ticket in a list."""

    id = TEXT(required=True)
    number = TEXT(required=True)
    state = TEXT(
        required=True, metadata={"description": "opening, open, waiting_for_customer, closing, closed or refused"}
    )
    subject = TEXT(required=True)
    organization = fields.Nested(Party, required=True)
    deployment = fields.Nested(Party, required=True)
    requester = fields.Nested(Party, required=True)
    credits = fields.Nested(TicketCredits, required=True)
    overrun = fields.Nested(AskedOverrun, required=True, allow_none=True)
    defect = fields.Nested(Defect, required=True, allow_none=True)
    opened_at = WHEN(required=True)
    updated_at = WHEN(required=True)
    closed_at = maybe(WHEN)


class TimeEntry(Schema):
    """Time worked; negative: another entry is taken back."""

    id = TEXT(required=True)
    minutes = NUMBER(required=True)
    note = TEXT(required=True)
    worked_on = fields.Date(required=True)
    worked_by = TEXT(required=True)
    recorded_at = WHEN(required=True)
    reverses = maybe(TEXT)


class Ticket(TicketSummary):
    """A ticket."""

    description = TEXT(required=True)
    time = fields.List(fields.Nested(TimeEntry), required=True)


class Comment(Schema):
    """What somebody wrote about a ticket."""

    id = TEXT(required=True)
    text = TEXT(required=True)
    internal = fields.Boolean(required=True)
    by_staff = fields.Boolean(required=True)
    author = fields.Nested(Party, required=True)
    written_at = WHEN(required=True)


class CommentAdded(Schema):
    """A new comment, and where the ticket stands with it."""

    comment = fields.Nested(Comment, required=True)
    state = TEXT(required=True)
