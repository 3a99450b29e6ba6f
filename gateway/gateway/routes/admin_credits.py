"""For finance: credits that staff give, and balances that they put right."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.tracing import traced_for_staff
from gateway.web import Blueprint, answer, ask, needs_key, replayed
from kernel.clock import rfc3339

routes = Blueprint(
    "Admin credits", __name__, url_prefix="/v1/admin/credits", description="For finance; every call is logged."
)


@routes.route("/grants", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Granted)
@routes.arguments(inputs.NewGrant())
def grant(body: dict[str, Any], idempotency_key: str) -> Response:
    """Give an organisation credits for free. The reason stands in its statement."""
    wish = _plain(body)
    note(**wish)
    reply = ask("credits", "grant_credits", {**wish, "idempotency_key": idempotency_key})
    return _answered(reply)


@routes.route("/adjustments", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Adjusted)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewAdjustment())
def adjust(body: dict[str, Any], idempotency_key: str) -> Response:
    """Put a balance right: add credits, or take some off, never more than there are."""
    note(**body)
    return _answered(ask("credits", "adjust_credits", {**body, "idempotency_key": idempotency_key}))


@routes.route("/entries/<id:entry_id>/trace", methods=["GET"])
@audited
@routes.response(200, outputs.Trace)
def trace(entry_id: str) -> Response:
    """Where the credits of an entry of any organisation came from, and what they were used for."""
    note(entry_id=entry_id)
    return answer(traced_for_staff(ask("credits", "trace_entry", {"id": entry_id, "any_organization": True})))


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """The body as JSON has it."""
    until = body.pop("expires_at", None)
    return body if until is None else {**body, "expires_at": rfc3339(until)}


def _answered(reply: dict[str, Any]) -> Response:
    return answer({key: value for key, value in reply.items() if key != "replayed"}, 201, replayed(reply))
