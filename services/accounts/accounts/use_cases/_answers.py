"""Rows as the answers that the public API gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounts import storage
from chassis.identity import SCOPES
from chassis.persistence import Reader, Row

#: Look-alikes that one deployment names at most; who has more will not read them.
_SIMILAR_SHOWN = 10


#: What people see and change of an address.
ADDRESS_FIELDS = (
    "name", "company", "address", "address_2", "city", "state", "zip", "country", "default_billing", "default_shipping",
)  # fmt: skip


def address(row: Row) -> dict[str, Any]:
    """An address."""
    return {name: row[name] for name in ("id", *ADDRESS_FIELDS)}


def organization(row: Row) -> dict[str, Any]:
    """An organisation as its own users see it."""
    return {
        "id": row["id"],
        "name": row["name"],
        "number": str(row["number"]),
        "time_zone": row["time_zone"],
        "language": row["language"],
        "tax_exempt": row["tax_certificate"] is not None,
        "tax_certificate": row["tax_certificate"],
    }


def entitlement(row: Row) -> dict[str, Any]:
    """What is bound to a deployment."""
    names = ("order_id", "order_line_id", "kind", "sku", "name", "quantity", "bound_at", "starts_on", "ends_on")
    return {name: row[name] for name in names}


def party(row: Row) -> dict[str, Any]:
    """An organisation as those see it who have to do with it."""
    return {"id": row["id"], "name": row["name"], "number": str(row["number"])}


def user_and_organization(person: Row) -> dict[str, Any]:
    """The `user` and `organization` of a person."""
    return {
        "user": {
            "id": person["user_id"],
            "email": person["email"],
            "name": person["user_name"],
            "role": person["role"],
            "language": person["language"],
        },
        "organization": {
            "id": person["organization_id"],
            "name": person["organization_name"],
            "number": str(person["organization_number"]),
        },
    }


def user(row: Row) -> dict[str, Any]:
    """A user as the admins of the organisation see one."""
    names = ("id", "email", "name", "role", "language", "created_at")
    return {**{name: row[name] for name in names}, "active": row["deactivated_at"] is None}


def invitation(row: Row) -> dict[str, Any]:
    """Who was invited."""
    return {**{name: row[name] for name in ("id", "email", "name", "role")}, "invited_at": row["requested_at"]}


def api_key(row: Row) -> dict[str, Any]:
    """An API key without the key."""
    scopes = SCOPES if row["scopes"] is None else row["scopes"].split()
    return {**{name: row[name] for name in ("id", "name", "last_four", "created_at")}, "scopes": list(scopes)}


def deployments(reader: Reader, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Deployments, as somebody sees them, with those look-alikes that the same person sees."""
    if not rows:
        return []
    similar = storage.similar_ids(reader, [row["id"] for row in rows], rows[0]["seen_by"])
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "registered_on": row["registered_on"],
            "owner": {"id": row["organization_id"], "name": row["organization_name"]},
            "state": row["state"],
            "similar_to": similar.get(row["id"], [])[:_SIMILAR_SHOWN],
        }
        for row in rows
    ]
