"""Saved cards: the payment provider keeps the card, the store what may be shown of it."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.web import Blueprint, answer, ask, backend, client_address, needs_key, replayed

routes = Blueprint(
    "Payment methods", __name__, url_prefix="/v1/payment-methods", description="The saved cards of your organisation."
)


@routes.route("", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.PaymentMethod))
def list_payment_methods() -> Response:
    """Saved cards: the default one first, then the newest."""
    return answer(ask("payments", "list_payment_methods"))


@routes.route("", methods=["POST"])
@needs_key
@routes.response(201, outputs.PaymentMethod)
@routes.alt_response(402, "PAYMENT_REQUIRED")
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewPaymentMethod())
def save(body: dict[str, Any], idempotency_key: str) -> Response:
    """Save a card, once the payment provider has accepted it. The first one becomes the default."""
    reply = ask(
        "payments",
        "save_payment_method",
        {**body, "idempotency_key": idempotency_key, "client_address": client_address()},
        timeout_s=backend().settings.checkout_timeout_s,
    )
    return answer(reply["payment_method"], 201, replayed(reply))


@routes.route("/<id:payment_method_id>", methods=["PATCH"])
@routes.response(200, outputs.PaymentMethod)
@routes.arguments(inputs.PaymentMethodChange())
def make_default(_body: dict[str, Any], payment_method_id: str) -> Response:
    """Make a card the default."""
    return answer(ask("payments", "set_default_payment_method", {"id": payment_method_id}))


@routes.route("/<id:payment_method_id>", methods=["DELETE"])
@routes.response(204)
def remove(payment_method_id: str) -> Response:
    """Remove a card. Payments that are under way with it go on."""
    ask("payments", "remove_payment_method", {"id": payment_method_id})
    return Response(status=204)
