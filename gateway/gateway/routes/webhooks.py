"""Webhooks: what the payment provider says by itself goes to payments as it came; only payments can tell it is true."""

from __future__ import annotations

import base64

from flask import Response, request

from gateway.web import Blueprint, ask, open_to_all

routes = Blueprint("Webhooks", __name__, url_prefix="/v1/webhooks", description="For the payment provider.")

#: Where the provider puts its proof, and the longest one that is passed on.
SIGNATURE_HEADER = "Provider-Signature"
_LONGEST_SIGNATURE = 1_000

_BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
_SIGNATURE = {
    "in": "header", "name": SIGNATURE_HEADER, "required": True,
    "schema": {"type": "string", "maxLength": _LONGEST_SIGNATURE},
    "description": "`t=<unix seconds>,v1=<HMAC-SHA256 of t, a full stop and the raw body>`.",
}  # fmt: skip


@routes.route("/payments", methods=["POST"])
@open_to_all
@routes.doc(requestBody=_BODY, parameters=[_SIGNATURE])
@routes.response(204)
@routes.alt_response(401, "UNAUTHORIZED")
def payments() -> Response:
    """Something happened to a charge. 401 unless the provider has signed it within the last five minutes."""
    body = base64.b64encode(request.get_data(cache=True)).decode()
    signature = request.headers.get(SIGNATURE_HEADER, "")[:_LONGEST_SIGNATURE]
    ask("payments", "receive_webhook", {"body": body, "signature": signature})
    return Response(status=204)
