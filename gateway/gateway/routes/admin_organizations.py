"""For staff: the organisations of customers."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.web import Blueprint, answer, ask, page

routes = Blueprint(
    "Admin organizations", __name__, url_prefix="/v1/admin/organizations",
    description="For staff; every call is logged.",
)  # fmt: skip


@routes.route("", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.OrganizationFacts))
@routes.arguments(inputs.OrganizationQuery(), location="query")
def search(query: dict[str, Any]) -> Response:
    """Find a customer by number, id or a part of the name."""
    note(**query)
    return page(ask("accounts", "search_organizations", query), query)


@routes.route("/<id:organization_id>/managed/<id:managed_id>", methods=["PUT"])
@audited
@routes.response(200, outputs.Organization)
@routes.alt_response(409, "CONFLICT")
def manage(organization_id: str, managed_id: str) -> Response:
    """Let an organisation see, and buy for, the deployments of another. It goes one way and one step."""
    note(manager_id=organization_id, managed_id=managed_id)
    return answer(ask("accounts", "manage_organization", {"manager_id": organization_id, "managed_id": managed_id}))


@routes.route("/<id:organization_id>/managed/<id:managed_id>", methods=["DELETE"])
@audited
@routes.response(204)
def end_management(organization_id: str, managed_id: str) -> Response:
    """Let that end. What was bound by then stays bound."""
    note(manager_id=organization_id, managed_id=managed_id)
    ask("accounts", "end_management", {"manager_id": organization_id, "managed_id": managed_id})
    return Response(status=204)


@routes.route("/<id:organization_id>/deployments", methods=["POST"])
@audited
@routes.response(201, outputs.Deployment)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewDeployment())
def add_deployment(body: dict[str, Any], organization_id: str) -> Response:
    """Register a deployment of a customer."""
    note(organization_id=organization_id, **body)
    return answer(ask("accounts", "add_deployment", {"organization_id": organization_id, **body}), 201)


@routes.route("/<id:organization_id>/tax-certificate", methods=["PUT"])
@audited
@routes.response(200, outputs.OrganizationFacts)
@routes.arguments(inputs.TaxCertificate())
def set_tax_certificate(body: dict[str, Any], organization_id: str) -> Response:
    """Exempt an organisation from tax, or end that. Orders that were placed stay as they are."""
    note(organization_id=organization_id, **body)
    return answer(ask("accounts", "set_tax_certificate", {"organization_id": organization_id, **body}))
