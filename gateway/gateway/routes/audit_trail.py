"""Who changed what: every service keeps its own trail, here they are one."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.services import SERVICES
from gateway.web import Blueprint, ask, page

routes = Blueprint("Audit", __name__, description="Who changed what.")


@routes.route("/v1/organization/audit", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.AuditEntry))
@routes.arguments(inputs.OwnAuditQuery(), location="query")
def list_own_audit(query: dict[str, Any]) -> Response:
    """What concerns your organisation, newest first; for its admins."""
    return page(_merged(query), query)


@routes.route("/v1/admin/audit", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.AuditEntry))
@routes.arguments(inputs.AuditQuery(), location="query")
def list_audit(query: dict[str, Any]) -> Response:
    """Every change of money, credits, cards, users and keys, newest first."""
    note(**query)
    return page(_merged(query), query)


def _merged(query: dict[str, Any]) -> dict[str, Any]:
    """The newest lines of all services before the cursor, which is the id of a line: they sort by time everywhere."""
    wanted = {name: value for name, value in query.items() if name != "cursor"}
    if "cursor" in query:
        wanted["before"] = query["cursor"]
    replies = {service: ask(service, "list_audit", wanted) for service in SERVICES}
    found = [{"service": service, **item} for service, reply in replies.items() for item in reply["items"]]
    found.sort(key=lambda item: str(item["id"]), reverse=True)
    items = found[: query["limit"]]
    more = len(found) > len(items) or any(reply["more"] for reply in replies.values())
    return {"items": items, "next": items[-1]["id"] if more else None}
