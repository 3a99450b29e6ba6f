"""What operators look at."""

from __future__ import annotations

from marshmallow import Schema, fields

from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class FoundBreak(Schema):
    """A place where the store is not as it must be."""

    rule = TEXT(required=True)
    subject = TEXT(required=True)
    expected = NUMBER(required=True)
    found = NUMBER(required=True)


class Reconciliation(Schema):
    """What a reconciliation of the whole store has found."""

    id = TEXT(required=True)
    began_at = WHEN(required=True)
    ended_at = WHEN(required=True)
    looked_at = fields.Dict(keys=TEXT(), values=NUMBER(), required=True)
    breaks_count = NUMBER(required=True)
    breaks = fields.List(
        fields.Nested(FoundBreak), required=True, metadata={"description": "The first 200; none when all is well"}
    )


class DeadLetter(Schema):
    """An event that could not be handled. Its body is shown to nobody."""

    service = TEXT(required=True)
    id = TEXT(required=True)
    queue = TEXT(required=True, metadata={"description": "The service and the event"})
    event_id = maybe(TEXT)
    cause = TEXT(required=True)
    attempts = NUMBER(required=True)
    parked_at = WHEN(required=True)
    age_s = NUMBER(required=True, metadata={"description": "Seconds since it was parked; it is kept for 30 days"})
    replayed_at = maybe(WHEN)
    headers = fields.Dict(
        keys=TEXT(),
        values=TEXT(),
        required=True,
        metadata={"description": "The value of a header not ours is masked"},
    )


class TimelineStep(Schema):
    """Something that happened. `by`, for staff: who of them did it."""

    service = TEXT(required=True)
    happened_at = WHEN(required=True)
    what = TEXT(required=True)
    details = fields.Dict(required=True)
    by = maybe(TEXT)


class Timeline(Schema):
    """What happened to an order, oldest first."""

    items = fields.List(fields.Nested(TimelineStep), required=True)


class AuditEntry(Schema):
    """Who changed what. Without an actor the store did it by itself."""

    service = TEXT(required=True)
    id = TEXT(required=True)
    happened_at = WHEN(required=True)
    action = TEXT(required=True)
    subject_id = TEXT(required=True)
    organization_id = maybe(TEXT)
    actor_id = maybe(TEXT)
    actor_email = maybe(TEXT)
    actor_role = maybe(TEXT)
    details = fields.Dict(required=True)
    correlation_id = TEXT(required=True)


class Replayed(Schema):
    """How many dead letters went back to their queues, and how many of those asked for still wait."""

    replayed = NUMBER(required=True)
    remaining = NUMBER(required=True)


class Alive(Schema):
    """The process answers."""

    status = TEXT(required=True)


class Readiness(Schema):
    """Whether everything behind the gateway answers."""

    status = TEXT(required=True)
    services = fields.Dict(keys=TEXT(), values=TEXT(), required=True)
