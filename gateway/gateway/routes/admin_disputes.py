"""Disputes: card payments that the payer's bank takes back. Staff look, finance answers."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.csvtext import all_rows, csv_answer, wants_csv
from gateway.web import Blueprint, answer, ask, given, needs_key, page, replayed

routes = Blueprint(
    "Admin disputes", __name__, url_prefix="/v1/admin/disputes",
    description="Card payments that were taken back; every call is logged.",
)  # fmt: skip

_COLUMNS = (
    "state", "order_number", "organization_id", "amount.amount_minor", "amount.currency", "reason", "opened_at",
    "evidence_due_at", "evidence_sent_at", "accepted_at", "closed_at", "order_id", "provider_charge_id",
    "provider_dispute_id", "id",
)  # fmt: skip
#: Disputes in one file.
_MOST_IN_CSV = 10_000


@routes.route("", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.ChargeDispute))
@routes.arguments(inputs.DisputeQuery(), location="query")
def list_disputes(query: dict[str, Any]) -> Response:
    """Disputes, newest first; with `Accept: text/csv` up to 10,000 as a file."""
    note(**query)
    wanted = given(query)
    if wants_csv():
        return csv_answer("disputes", _COLUMNS, all_rows("payments", "list_disputes", wanted, _MOST_IN_CSV))
    return page(ask("payments", "list_disputes", wanted), query)


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
