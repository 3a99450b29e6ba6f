"""Orders: place the cart, and follow what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response
from marshmallow import INCLUDE, Schema, fields, validate

from gateway import inputs, outputs
from gateway.timeline import timeline
from gateway.web import Blueprint, answer, ask, backend, client_address, given, needs_key, page, replayed
from kernel.errors import Kind, Refusal

routes = Blueprint("Orders", __name__, url_prefix="/v1/orders", description="Orders and quotes.")

_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where to follow the order"}}


class _PlacedReply(Schema):
    """What became of the wish to order; the order itself goes through as the service shaped it."""

    class Meta:
        unknown = INCLUDE

    order = fields.Dict(required=True)
    status = fields.Integer(required=True, validate=validate.OneOf([201, 202]))


class _CancelledReply(_PlacedReply):
    """What became of the wish to cancel."""

    status = fields.Integer(required=True, validate=validate.OneOf([200, 202]))


_PLACED_REPLY = _PlacedReply()
_CANCELLED_REPLY = _CancelledReply()


@routes.route("", methods=["POST"])
@needs_key
@routes.response(
    201, outputs.Order, description="Placed and paid; or awaiting a wire or check, with instructions; or a quote",
    headers=_LOCATION,
)  # fmt: skip
@routes.alt_response(
    202, schema=outputs.Order, description="Placed; the payment is not settled yet: do the next_action, or poll",
    headers=_LOCATION,
    success=True,
)  # fmt: skip
@routes.alt_response(402, "PAYMENT_REQUIRED")
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewOrder())
def place(body: dict[str, Any], idempotency_key: str) -> Response:
    """Place the cart as an order; or, with method `quote`, as a quote: the same frozen lines, nothing to pay."""
    wish = given(body)
    wish["payment"] = given(wish["payment"])
    reply = ask(
        "cart",
        "place_order",
        {**wish, "idempotency_key": idempotency_key, "client_address": client_address()},
        reply=_PLACED_REPLY,
        timeout_s=backend().settings.checkout_timeout_s,
    )
    return _placed(reply)


@routes.route("/<id:order_id>/convert", methods=["POST"])
@needs_key
@routes.response(
    201, outputs.Order, description="The order: paid; or awaiting a wire or check, with instructions", headers=_LOCATION
)
@routes.alt_response(
    202, schema=outputs.Order, description="The order; its payment is not settled yet: poll", headers=_LOCATION,
    success=True,
)  # fmt: skip
@routes.alt_response(402, "PAYMENT_REQUIRED")
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.ChangedPayment())
def convert(body: dict[str, Any], order_id: str, idempotency_key: str) -> Response:
    """Make an order of a quote, once, at its prices. After a decline the quote is open as before."""
    reply = ask(
        "cart",
        "convert_quote",
        {"id": order_id, "idempotency_key": idempotency_key, "payment": given(body["payment"])},
        reply=_PLACED_REPLY,
        timeout_s=backend().settings.checkout_timeout_s,
    )
    return _placed(reply)


@routes.route("", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Order))
@routes.arguments(inputs.OrderQuery(), location="query")
def list_orders(query: dict[str, Any]) -> Response:
    """Your orders and quotes, newest first."""
    reply = ask("cart", "list_orders", query)
    return page({**reply, "items": _with_cards(reply["items"])}, query)


@routes.route("/<id:order_id>", methods=["GET"])
@routes.response(200, outputs.Order)
def get(order_id: str) -> Response:
    """One order, with the support credit cards that came of it."""
    return answer(_with_cards([ask("cart", "get_order", {"id": order_id})])[0])


@routes.route("/<id:order_id>/timeline", methods=["GET"])
@routes.response(200, outputs.Timeline)
def get_timeline(order_id: str) -> Response:
    """Every attempt, mail, refund and claim, oldest first."""
    ask("cart", "get_order", {"id": order_id})  # whoever may not see the order is told so before anybody else is asked
    return answer(timeline(order_id))


@routes.route("/<id:order_id>/cancel", methods=["POST"])
@needs_key
@routes.response(200, outputs.Order, description="Cancelled; nothing was charged, and nothing will be")
@routes.alt_response(
    202, schema=outputs.Order, description="The payment provider has not answered yet: poll", headers=_LOCATION,
    success=True,
)  # fmt: skip
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.Nothing(), required=False)
def cancel(_body: dict[str, Any], order_id: str, idempotency_key: str) -> Response:
    """Cancel a quote or an unpaid order. 409 `order_already_paid` if the payment was faster: it goes on to paid."""
    reply = ask(
        "cart", "cancel_order", {"id": order_id, "idempotency_key": idempotency_key}, reply=_CANCELLED_REPLY,
        timeout_s=backend().settings.checkout_timeout_s,
    )  # fmt: skip
    headers = replayed(reply)
    if reply["status"] == 202:
        headers |= {"Location": f"/v1/orders/{order_id}", "Retry-After": "1"}
    return answer({**reply["order"], "support_cards": []}, reply["status"], headers)  # unpaid: there are none


@routes.route("/<id:order_id>/payment", methods=["POST"])
@needs_key
@routes.response(200, outputs.Order, description="Paid; or awaiting a wire or check, with new instructions")
@routes.alt_response(
    202, schema=outputs.Order, description="The payment is not settled yet: poll", headers=_LOCATION, success=True
)
@routes.alt_response(402, "PAYMENT_REQUIRED")
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.ChangedPayment())
def change_payment(body: dict[str, Any], order_id: str, idempotency_key: str) -> Response:
    """Pay in another way for an unpaid order; a card that is under way is given up first. Or resume it, once its payer
    has confirmed it: method `card` and nothing else. An order that was to be paid by wire or check awaits that again
    after a decline.
    """
    reply = ask(
        "cart",
        "change_payment",
        {"id": order_id, "idempotency_key": idempotency_key, "payment": given(body["payment"])},
        reply=_PLACED_REPLY,
        timeout_s=backend().settings.checkout_timeout_s,
    )
    headers = replayed(reply)
    if reply["status"] == 202:
        headers |= {"Location": f"/v1/orders/{order_id}", "Retry-After": "1"}
    return answer({**reply["order"], "support_cards": []}, 202 if reply["status"] == 202 else 200, headers)


def _placed(reply: dict[str, Any]) -> Response:
    order = reply["order"]
    headers = {"Location": f"/v1/orders/{order['id']}", **replayed(reply)}
    if reply["status"] == 202:
        headers["Retry-After"] = "1"
    # cards are issued after the payment: a first answer has none, and a replay repeats the first answer
    return answer({**order, "support_cards": []}, reply["status"], headers)


def _with_cards(orders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    asked = [order["id"] for order in orders if _may_have_cards(order)]
    cards: dict[str, list[Any] | None] = {}
    try:
        found = ask("credits", "cards_of_orders", {"order_ids": asked})["items"] if asked else []
        cards.update((each["order_id"], each["cards"]) for each in found)
    except Refusal as refusal:
        if refusal.kind is not Kind.UNAVAILABLE:
            raise
        cards.update((order_id, None) for order_id in asked)  # the order is worth showing without its cards
    return [{**order, "support_cards": cards.get(order["id"], [])} for order in orders]


def _may_have_cards(order: dict[str, Any]) -> bool:
    """Spares a call for most orders."""
    return order.get("kind") != "quote" and any(
        line.get("credit_destination") == "support_card" for line in order["lines"]
    )
