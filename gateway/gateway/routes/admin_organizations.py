"""For staff: the organisations of customers."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.web import Blueprint, answer, ask

routes = Blueprint(
    "Admin organizations", __name__, url_prefix="/v1/admin/organizations",
    description="For staff; every call is logged.",
)  # fmt: skip


@routes.route("/<id:organization_id>/tax-certificate", methods=["PUT"])
@audited
@routes.response(200, outputs.OrganizationFacts)
@routes.arguments(inputs.TaxCertificate())
def set_tax_certificate(body: dict[str, Any], organization_id: str) -> Response:
    """Exempt an organisation from tax, or end that. Orders that were placed stay as they are."""
    note(organization_id=organization_id, **body)
    return answer(ask("accounts", "set_tax_certificate", {"organization_id": organization_id, **body}))
