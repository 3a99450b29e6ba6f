"""The audit trail for those who read it: staff all of it, the admins of an organisation what concerns their own."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from marshmallow import fields, validate

from chassis.identity import STAFF, Identity
from chassis.messages import PlainString, RequestSchema, StrictInteger, UtcDateTime
from chassis.persistence.database import Reader
from chassis.persistence.tables import AUDIT_ENTRY


class ListAudit(RequestSchema):
    """Which lines: about one thing, one organisation, by one person, of one kind, or all; those before one, or all."""

    subject_id = PlainString(max_length=64)
    organization_id = PlainString(max_length=64)
    actor_id = PlainString(max_length=64)
    action = PlainString(max_length=64)
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    before = PlainString(max_length=64)


class AuditEntry(RequestSchema):
    """Who changed what. Without an actor the store did it by itself."""

    id = fields.String(required=True)
    happened_at = UtcDateTime(required=True)
    action = fields.String(required=True)
    subject_id = fields.String(required=True)
    organization_id = fields.String(required=True, allow_none=True)
    actor_id = fields.String(required=True, allow_none=True)
    actor_email = fields.String(required=True, allow_none=True)
    actor_role = fields.String(required=True, allow_none=True)
    details = fields.Dict(required=True)
    correlation_id = fields.String(required=True)


class AuditPage(RequestSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(AuditEntry), required=True)
    more = fields.Boolean(required=True)


RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "list_audit": {
        "request": {"subject_id": "ord_01", "limit": 9, "before": "aud_01"},
        "reply": {
            "items": [
                {
                    "id": "aud_01JDB0000000000000000000A0", "happened_at": "2026-11-22T12:00:00.000Z",
                    "action": "order.refund_requested", "subject_id": "ord_01JDB0000000000000000000D0",
                    "organization_id": "org_01JDB0000000000000000000G0",
                    "actor_id": "usr_01JDB0000000000000000000U0",
                    "actor_email": "finn@punchcard.example", "actor_role": "finance",
                    "details": {"reason": "bought twice"}, "correlation_id": "cor_01JDB0000000000000000000R0",
                }
            ],
            "more": False,
        },
    },
}  # fmt: skip


def list_audit(
    reader: Reader, caller: Identity, *, limit: int, before: str | None = None, **wanted: str
) -> dict[str, Any]:
    """Some lines of the trail, newest first.

    Args:
        reader: the service's database.
        caller: staff, or an admin, who sees what concerns the own organisation whatever is asked for.
        limit: lines at most.
        before: the id of a line; only older ones. Ids of all services sort by time.
        wanted: columns and the value that each must have.

    Returns:
        The lines, and whether there are more.

    Raises:
        Refusal: `forbidden`.
    """
    caller.require("admin", *STAFF)
    if caller.role not in STAFF:
        wanted["organization_id"] = caller.organization_id
    select = sa.select(AUDIT_ENTRY).where(*(AUDIT_ENTRY.c[name] == value for name, value in wanted.items()))
    if before is not None:
        select = select.where(AUDIT_ENTRY.c.id < before)
    rows = reader.all(select.order_by(AUDIT_ENTRY.c.id.desc()).limit(limit + 1))
    items = [{**row, "details": json.loads(row["details"])} for row in rows[:limit]]
    return {"items": items, "more": len(rows) > limit}
