"""Sign in and out."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.web import Blueprint, answer, begin_session, credential, end_session, open_to_all, require_session

routes = Blueprint("Sessions", __name__, url_prefix="/v1/sessions", description="Sign in and out.")


@routes.route("", methods=["POST"])
@open_to_all
@routes.response(201, outputs.Session)
@routes.alt_response(401, "UNAUTHORIZED")
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.NewSession())
def sign_in(body: dict[str, Any]) -> Response:
    """Sign in. The token is shown this once."""
    token, reply = begin_session(**body)
    return answer({"token": token, **reply}, 201)


@routes.route("/current", methods=["DELETE"])
@routes.response(204)
def sign_out() -> Response:
    """Sign out. The token is worthless everywhere within a second."""
    require_session()
    end_session(credential().digest)
    return Response(status=204)
