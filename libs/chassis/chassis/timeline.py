"""What happened to an order, step by step: each service tells what it has done, the gateway makes one list of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from marshmallow import fields

from chassis.identity import STAFF, Identity
from chassis.messages import PlainString, RequestSchema, UtcDateTime
from chassis.persistence.database import Reader
from chassis.persistence.tables import AUDIT_ENTRY


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened.

    Args:
        happened_at: when.
        what: ``thing.done``, as in ``card.claimed``.
        details: what one wants to know about it; plain JSON, and nothing secret.
    """

    happened_at: datetime
    what: str
    details: dict[str, Any] = field(default_factory=dict)


#: Finds the steps of an order: reader, order id, and whose it must be (None: anybody's, for staff).
FindSteps = Callable[[Reader, str, str | None], Iterable[Step]]


class OrderTimelineRequest(RequestSchema):
    """Which order."""

    order_id = PlainString(required=True, max_length=64)


class TimelineStep(RequestSchema):
    """Something that happened. `by` is who of the staff did it, for staff."""

    happened_at = UtcDateTime(required=True)
    what = fields.String(required=True)
    details = fields.Dict(required=True)
    by = fields.String(required=True, allow_none=True)


class OrderTimeline(RequestSchema):
    """What a service did for the order, oldest first."""

    items = fields.List(fields.Nested(TimelineStep), required=True)


RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "order_timeline": {
        "request": {"order_id": "ord_01JDB0000000000000000000D0"},
        "reply": {
            "items": [
                {
                    "happened_at": "2026-11-22T12:00:00.000Z", "what": "payment.captured", "by": None,
                    "details": {"amount_minor": 12000, "currency": "USD", "card_last4": "4242"},
                }
            ],
        },
    },
}  # fmt: skip


def order_timeline(reader: Reader, caller: Identity, order_id: str, find: FindSteps) -> dict[str, Any]:
    """The steps of an order that the caller may see: all of any order for staff, with what they did themselves."""
    is_staff = caller.role in STAFF
    items = [
        {"happened_at": step.happened_at, "what": step.what, "details": step.details, "by": None}
        for step in find(reader, order_id, None if is_staff else caller.organization_id)
    ]
    if is_staff:
        items += _changes(reader, order_id)
    return {"items": sorted(items, key=lambda item: item["happened_at"])}


def _changes(reader: Reader, order_id: str) -> list[dict[str, Any]]:
    found = reader.all(sa.select(AUDIT_ENTRY).where(AUDIT_ENTRY.c.subject_id == order_id).order_by(AUDIT_ENTRY.c.id))
    return [
        {
            "happened_at": row["happened_at"],
            "what": row["action"],
            "details": json.loads(row["details"]),
            "by": row["actor_email"],
        }
        for row in found
    ]
