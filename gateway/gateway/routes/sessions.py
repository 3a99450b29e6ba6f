"""Sign in and out."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.identities import digest_of, new_secret
from gateway.web import (
    SESSION_PREFIX,
    Blueprint,
    answer,
    ask,
    backend,
    client_address,
    credential,
    open_to_all,
    require_session,
)

routes = Blueprint("Sessions", __name__, url_prefix="/v1/sessions", description="Sign in and out.")


@routes.route("", methods=["POST"])
@open_to_all
@routes.response(201, outputs.Session)
@routes.alt_response(401, "UNAUTHORIZED")
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.NewSession())
def sign_in(body: dict[str, Any]) -> Response:
    """Sign in. The token is shown this once."""
    token = new_secret(SESSION_PREFIX)
    reply = ask(
        "accounts",
        "sign_in",
        {
            "email": body["email"],
            "sealed_password": backend().passwords.seal(body["password"]),
            "session_digest": digest_of(token),
            "client_address": client_address(),
        },
    )
    return answer({"token": token, **reply}, 201)


@routes.route("/current", methods=["DELETE"])
@routes.response(204)
def sign_out() -> Response:
    """Sign out. The token is worthless everywhere within a second."""
    require_session()
    digest = credential().digest
    identities = backend().identities
    identities.forget(digest)
    ask("accounts", "sign_out", {"session_digest": digest})
    identities.revoke(digest)  # the other processes are told by accounts
    return Response(status=204)
