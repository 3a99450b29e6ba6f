"""Show disputes to staff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.identity import STAFF
from kernel.clock import rfc3339
from kernel.errors import not_found
from payments import dispute_storage

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Row
    from payments.bootstrap import App

_MOMENTS = ("opened_at", "evidence_due_at", "evidence_sent_at", "accepted_at", "closed_at")


def list_disputes(
    app: App, caller: Identity, *, state: str | None, order_id: str | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """A page of disputes, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = dispute_storage.page_of_disputes(reader, state, order_id, limit, cursor)
    return {"items": [dispute_view(row) for row in rows], "next": following}


def get_dispute(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """One dispute.

    Raises:
        Refusal: `forbidden` for customers; `not_found`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        row = dispute_storage.find(reader, id)
    if row is None:
        raise not_found("dispute")
    return dispute_view(row)


def dispute_view(dispute: Row) -> dict[str, Any]:
    """A dispute for staff; its order's number and organisation are null while its charge is not known here."""
    same = (
        "id", "order_id", "order_number", "organization_id", "reason", "state", "evidence", "provider_dispute_id",
        "provider_charge_id",
    )  # fmt: skip
    return {
        **{name: dispute[name] for name in same},
        "amount": {"amount_minor": dispute["amount_minor"], "currency": dispute["currency"]},
        **{name: rfc3339(dispute[name]) if dispute[name] else None for name in _MOMENTS},
    }
