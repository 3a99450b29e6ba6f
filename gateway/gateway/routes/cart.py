"""The caller's cart. Its ETag is its version; a change may say which version it was made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request
from marshmallow import INCLUDE, Schema, fields

from gateway import inputs, outputs
from gateway.web import Blueprint, answer, ask, given, if_match

routes = Blueprint("Cart", __name__, url_prefix="/v1/cart", description="What you are about to buy.")

_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The version of the cart; send it as If-Match"}}
_IF_MATCH = {
    "in": "header", "name": "If-Match", "schema": {"type": "string"},
    "description": "The ETag of the cart that you saw; 412 if it has changed since.",
}  # fmt: skip


class _CartReply(Schema):
    """The cart as the service shaped it; the gateway reads the version."""

    class Meta:
        unknown = INCLUDE

    version = fields.Integer(required=True)


_CART_REPLY = _CartReply()


@routes.route("", methods=["GET"])
@routes.response(200, outputs.Cart, headers=_ETAG)
@routes.alt_response(304, description="The cart is as you have it", success=True)
@routes.arguments(inputs.CartQuery(), location="query")
def get(query: dict[str, Any]) -> Response:
    """Your cart, and what each line still needs before it can be ordered; with its tax, if billed to that address."""
    found = _answer(ask("cart", "get_cart", query, reply=_CART_REPLY))
    if not query and request.if_none_match.contains_weak(found.get_etag()[0] or ""):
        return Response(status=304, headers={"ETag": found.headers["ETag"]})
    return found


@routes.route("/lines", methods=["POST"])
@routes.response(200, outputs.Cart, headers=_ETAG)
@routes.alt_response(412, "PRECONDITION_FAILED")
@routes.doc(parameters=[_IF_MATCH])
@routes.arguments(inputs.NewLine())
def add_line(body: dict[str, Any]) -> Response:
    """Put a product into the cart. It joins a line with the same deployment and credit destination."""
    return _change("add_line", given(body))


@routes.route("/lines/<id:line_id>", methods=["PATCH"])
@routes.response(200, outputs.Cart, headers=_ETAG)
@routes.alt_response(412, "PRECONDITION_FAILED")
@routes.doc(parameters=[_IF_MATCH])
@routes.arguments(inputs.LineChange())
def update_line(body: dict[str, Any], line_id: str) -> Response:
    """Change the quantity, the deployment or the credit destination of a line."""
    return _change("update_line", {"line_id": line_id, **body})


@routes.route("/lines/<id:line_id>", methods=["DELETE"])
@routes.response(200, outputs.Cart, headers=_ETAG)
@routes.alt_response(412, "PRECONDITION_FAILED")
@routes.doc(parameters=[_IF_MATCH])
def remove_line(line_id: str) -> Response:
    """Take a line out of the cart."""
    return _change("remove_line", {"line_id": line_id})


@routes.route("/deployment", methods=["POST"])
@routes.response(200, outputs.CartWithDeployment, headers=_ETAG)
@routes.alt_response(412, "PRECONDITION_FAILED")
@routes.doc(parameters=[_IF_MATCH])
@routes.arguments(inputs.CartDeployment())
def apply_deployment(body: dict[str, Any]) -> Response:
    """Apply to All: set the deployment of every line that needs one."""
    return _change("apply_deployment", body)


def _change(method: str, data: dict[str, Any]) -> Response:
    return _answer(ask("cart", method, {**data, **if_match()}, reply=_CART_REPLY))


def _answer(cart: Mapping[str, Any]) -> Response:
    return answer(cart, headers={"ETag": f'"{cart["version"]}"'})
