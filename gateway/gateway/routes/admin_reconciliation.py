"""For operators: whether anything was lost, done twice, or is stuck."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited
from gateway.web import Blueprint, ask, page

routes = Blueprint(
    "Admin reconciliation", __name__, url_prefix="/v1/admin/reconciliation",
    description="For operators; every call is logged.",
)  # fmt: skip


@routes.route("", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.Reconciliation))
@routes.arguments(inputs.PageQuery(), location="query")
def list_reconciliations(query: dict[str, Any]) -> Response:
    """What the reconciliations of the whole store have found, newest first; kept for 90 days."""
    return page(ask("credits", "list_reconciliations", query), query)
