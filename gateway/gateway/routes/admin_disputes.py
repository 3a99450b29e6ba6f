"""Disputes: card payments that the payer's bank takes back. Staff look, finance answers."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.web import Blueprint, answer, ask, given, needs_key, page, replayed

routes = Blueprint(
    "Admin disputes", __name__, url_prefix="/v1/admin/disputes",
    description="Card payments that were taken back; every call is logged.",
)  # fmt: skip


@routes.route("", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.ChargeDispute))
@routes.arguments(inputs.DisputeQuery(), location="query")
def list_disputes(query: dict[str, Any]) -> Response:
    """Disputes, newest first."""
    note(**query)
    return page(ask("payments", "list_disputes", given(query)), query)


@routes.route("/<id:dispute_id>", methods=["GET"])
@audited
@routes.response(200, outputs.ChargeDispute)
def get_dispute(dispute_id: str) -> Response:
    """One dispute."""
    note(dispute_id=dispute_id)
    return answer(ask("payments", "get_dispute", {"id": dispute_id}))


@routes.route("/<id:dispute_id>/evidence", methods=["POST"])
@audited
@needs_key
@routes.response(200, outputs.ChargeDispute)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.DisputeEvidence())
def send_evidence(body: dict[str, Any], dispute_id: str, idempotency_key: str) -> Response:
    """Tell the card network why the charge was right, as often as there is something to add, until it has decided."""
    note(dispute_id=dispute_id)
    wish = {"id": dispute_id, "evidence": body["evidence"], "idempotency_key": idempotency_key}
    reply = ask("payments", "send_evidence", wish)
    return answer(reply["dispute"], 200, replayed(reply))


@routes.route("/<id:dispute_id>/accept", methods=["POST"])
@audited
@needs_key
@routes.response(200, outputs.ChargeDispute)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.Nothing(), required=False)
def accept_dispute(_body: dict[str, Any], dispute_id: str, idempotency_key: str) -> Response:
    """Let the payer have the money: the dispute is lost, and what is unspent of the order is taken back."""
    note(dispute_id=dispute_id)
    reply = ask("payments", "accept_dispute", {"id": dispute_id, "idempotency_key": idempotency_key})
    return answer(reply["dispute"], 200, replayed(reply))
