"""Sign up, and get back in. Every answer is the same whether or not an address is anybody's; no GET uses up a link."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs
from gateway.identities import digest_of
from gateway.web import Blueprint, ask, backend, client_address, credential, given, open_to_all, require_session

routes = Blueprint("Users", __name__, url_prefix="/v1", description="Sign up, and get back in.")


@routes.route("/users", methods=["POST"])
@open_to_all
@routes.response(202, description="A mail follows: with a link, or with a word that there is an account already")
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.NewUser())
def sign_up(body: dict[str, Any]) -> Response:
    """Ask for an account and an organisation of your own. Both begin when the link in the mail is confirmed."""
    wish = given(body)
    sealed = backend().passwords.seal(wish.pop("password"))
    ask("accounts", "sign_up", {**wish, "sealed_password": sealed, "client_address": client_address()})
    return Response(status=202)


@routes.route("/users/confirm", methods=["POST"])
@open_to_all
@routes.response(204)
@routes.arguments(inputs.MailedToken())
def confirm_sign_up(body: dict[str, Any]) -> Response:
    """Confirm a sign-up with the token of the mail, once; you can sign in from then on. 422 `token_invalid`."""
    ask("accounts", "confirm_sign_up", {"token_digest": digest_of(body["token"])})
    return Response(status=204)


@routes.route("/password-resets", methods=["POST"])
@open_to_all
@routes.response(202, description="If the address is a user's, a mail with a link follows")
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.ForgottenPassword())
def request_password_reset(body: dict[str, Any]) -> Response:
    """Ask for a new password."""
    ask("accounts", "request_password_reset", {"email": body["email"], "client_address": client_address()})
    return Response(status=202)


@routes.route("/password-resets/<id:token>", methods=["POST"])
@open_to_all
@routes.response(204)
@routes.arguments(inputs.NewPassword())
def reset_password(body: dict[str, Any], token: str) -> Response:
    """Set a new password with the token of the mail, once. All your sessions end. 422 `token_invalid`."""
    sealed = backend().passwords.seal(body["password"])
    ask("accounts", "reset_password", {"token_digest": digest_of(token), "sealed_password": sealed})
    return Response(status=204)


@routes.route("/account/password", methods=["POST"])
@routes.response(204)
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.PasswordChange())
def change_password(body: dict[str, Any]) -> Response:
    """Change your own password. Your other sessions end. 422 `password_wrong`; 403 `not_a_session` for an API key."""
    require_session()
    seal = backend().passwords.seal
    wish = {"sealed_old_password": seal(body["old_password"]), "sealed_new_password": seal(body["new_password"])}
    here = {"session_digest": credential().digest, "client_address": client_address()}
    ask("accounts", "change_password", {**wish, **here})
    return Response(status=204)


@routes.route("/invitations/<id:token>", methods=["POST"])
@open_to_all
@routes.response(204)
@routes.arguments(inputs.NewPassword())
def accept_invitation(body: dict[str, Any], token: str) -> Response:
    """Accept an invitation with the token of the mail, once, and choose a password. 422 `token_invalid`."""
    sealed = backend().passwords.seal(body["password"])
    ask("accounts", "accept_invitation", {"token_digest": digest_of(token), "sealed_password": sealed})
    return Response(status=204)
