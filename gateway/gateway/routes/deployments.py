"""The deployments of the caller's organisation."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.web import Blueprint, answer, ask, page

routes = Blueprint(
    "Deployments", __name__, url_prefix="/v1/deployments", description="What licences and contracts are bound to."
)


@routes.route("", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Deployment))
@routes.arguments(inputs.DeploymentQuery(), location="query")
def search(query: dict[str, Any]) -> Response:
    """Search your deployments by the beginning of the ID or any part of the name."""
    return page(ask("accounts", "search_deployments", query), query)


@routes.route("/<id:deployment_id>", methods=["GET"])
@routes.response(200, outputs.Deployment)
def get(deployment_id: str) -> Response:
    """One of your deployments."""
    return answer(ask("accounts", "get_deployment", {"id": deployment_id}))
