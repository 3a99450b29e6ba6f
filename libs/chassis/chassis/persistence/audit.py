"""The audit trail: who changed what, written in the transaction of the change. Nobody can change or remove a line.

Every service keeps its own, of what it owns; ids sort by time, so whoever asks several services can merge their pages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chassis.identity import Identity
from chassis.persistence.tables import audit_columns
from kernel.ids import new_id

_REFUSAL = "the audit trail is append-only"


def create_audit_table() -> None:
    """Make the table and what keeps it as it is; for a service's migration."""
    from alembic import op  # which nobody else needs: see chassis.persistence.schema

    op.create_table("audit_entry", *audit_columns())
    op.create_index("audit_entry_of_organization", "audit_entry", ["organization_id", "id"])
    op.create_index("audit_entry_of_subject", "audit_entry", ["subject_id", "id"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_entry_no_{verb.lower()} BEFORE {verb} ON audit_entry "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
    )


def drop_audit_table() -> None:
    """Undo `create_audit_table`."""
    from alembic import op

    op.drop_table("audit_entry")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_audit_change()")


def audit_row(
    caller: Identity | None,
    action: str,
    subject_id: str,
    organization_id: str | None,
    details: Mapping[str, Any],
    now: datetime,
    correlation_id: str,
) -> dict[str, Any]:
    """A line of the trail as it is stored; see `Transaction.audit`."""
    return {
        "id": new_id("aud"),
        "happened_at": now,
        "action": action,
        "subject_id": subject_id,
        "organization_id": organization_id,
        "actor_id": caller.user_id if caller else None,
        "actor_email": caller.email if caller else None,
        "actor_role": caller.role if caller else None,
        "details": json.dumps(details, separators=(",", ":"), sort_keys=True, default=str),
        "correlation_id": correlation_id,
    }
