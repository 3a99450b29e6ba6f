"""The credits of the caller's organisation."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.web import Blueprint, answer, ask, page

routes = Blueprint("Credits", __name__, url_prefix="/v1/credits", description="Balance and statement.")


@routes.route("", methods=["GET"])
@routes.response(200, outputs.Balance)
def get_balance() -> Response:
    """How many credits your organisation has."""
    return answer(ask("credits", "get_balance"))


@routes.route("/entries", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Entry))
@routes.arguments(inputs.PageQuery(), location="query")
def list_entries(query: dict[str, Any]) -> Response:
    """The statement, newest first."""
    return page(ask("credits", "list_entries", query), query)
