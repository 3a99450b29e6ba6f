"""The deployments of the caller's organisation, and of those that it manages."""

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
    """Search deployments by the beginning of the ID or any part of the name: yours, and those of whom you manage."""
    return page(ask("accounts", "search_deployments", query), query)


@routes.route("/<id:deployment_id>", methods=["GET"])
@routes.response(200, outputs.DeploymentRecord)
def get(deployment_id: str) -> Response:
    """One deployment, with the contracts and licences that are bound to it."""
    return answer(ask("accounts", "get_deployment", {"id": deployment_id}))


@routes.route("/<id:deployment_id>/retire", methods=["POST"])
@routes.response(200, outputs.Deployment)
@routes.arguments(inputs.Nothing())
def retire(_body: dict[str, Any], deployment_id: str) -> Response:
    """Take a deployment of your own organisation out of use: nothing new can be bound to it."""
    return answer(ask("accounts", "retire_deployment", {"id": deployment_id}))
