"""For finance: money that has come by wire or check, and money that had nothing to pay for."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.web import Blueprint, answer, ask, given, needs_key, page, replayed

routes = Blueprint(
    "Admin payments", __name__, url_prefix="/v1/admin/payments", description="For finance; every call is logged."
)


@routes.route("/receipts", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Recorded)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewReceipt())
def record_receipt(body: dict[str, Any], idempotency_key: str) -> Response:
    """Record money that has come. 409 `receipt_already_recorded`, with the receipt, if somebody was faster."""
    received_on = body["received_on"].isoformat()
    note(**{**body, "received_on": received_on})
    reply = ask("payments", "record_receipt", {**body, "received_on": received_on, "idempotency_key": idempotency_key})
    payment = reply["payment"]
    note(receipt_id=reply["receipt"]["id"], order_id=reply["receipt"]["order_id"], state=payment["state"])
    note(replayed=reply["replayed"])
    return answer({"receipt": reply["receipt"], "payment": payment}, 201, replayed(reply))


@routes.route("/review", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.Surplus))
@routes.arguments(inputs.ReviewQuery(), location="query")
def list_review(query: dict[str, Any]) -> Response:
    """Money that had nothing to pay for, newest first: too much, for a paid order, or for a cancelled one."""
    note(**query)
    return page(ask("payments", "list_review", query), query)


@routes.route("/surplus/<id:surplus_id>/settle", methods=["POST"])
@audited
@needs_key
@routes.response(200, outputs.SettledSurplus)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.SurplusSettlement())
def settle_surplus(body: dict[str, Any], surplus_id: str, idempotency_key: str) -> Response:
    """Settle money that had nothing to pay for: it pays for another order of the organisation, or was sent back."""
    wish = _with_day(body, "paid_on")
    note(surplus_id=surplus_id, **wish)
    reply = ask("payments", "settle_surplus", {"id": surplus_id, "idempotency_key": idempotency_key, **wish})
    return answer({key: value for key, value in reply.items() if key != "replayed"}, 200, replayed(reply))


@routes.route("/payouts", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Payout)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewPayout())
def record_payout(body: dict[str, Any], idempotency_key: str) -> Response:
    """Record money that was sent by bank for a refund that waits for it; that ends the refund."""
    wish = _with_day(body, "paid_on")
    note(**wish)
    reply = ask("payments", "record_payout", {**wish, "idempotency_key": idempotency_key})
    return answer(reply["payout"], 201, replayed(reply))


@routes.route("/payouts", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.Payout))
@routes.arguments(inputs.PayoutQuery(), location="query")
def list_payouts(query: dict[str, Any]) -> Response:
    """Money to be sent by bank, and what was sent; newest first."""
    note(**query)
    return page(ask("payments", "list_payouts", given(query)), query)


def _with_day(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {**body, name: body[name].isoformat()} if name in body else dict(body)
