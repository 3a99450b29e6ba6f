"""The caller's organisation and its API keys."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.identities import digest_of, new_secret
from gateway.web import Blueprint, answer, ask, given, page

routes = Blueprint(
    "Organization", __name__, url_prefix="/v1/organization", description="Your organisation and its API keys."
)


@routes.route("", methods=["GET"])
@routes.response(200, outputs.OrganizationRecord)
def get_organization() -> Response:
    """Your organisation."""
    return answer(ask("accounts", "get_organization"))


@routes.route("", methods=["PATCH"])
@routes.response(200, outputs.OrganizationFacts)
@routes.arguments(inputs.OrganizationChange())
def update_organization(body: dict[str, Any]) -> Response:
    """Change the name, the time zone or the language of your organisation; for its admins."""
    return answer(ask("accounts", "update_organization", body))


@routes.route("/users", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.UserRecord))
@routes.arguments(inputs.PageQuery(), location="query")
def list_users(query: dict[str, Any]) -> Response:
    """The users of your organisation, deactivated ones too; for its admins."""
    return page(ask("accounts", "list_users", query), query)


@routes.route("/users", methods=["POST"])
@routes.response(202, outputs.Invitation, description="Invited: a mail with a link follows")
@routes.alt_response(409, "CONFLICT")
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.NewInvitation())
def invite_user(body: dict[str, Any]) -> Response:
    """Invite somebody into your organisation. Asked again for an address, the link before is dead."""
    return answer(ask("accounts", "invite_user", body), 202)


@routes.route("/users/<id:user_id>", methods=["PATCH"])
@routes.response(200, outputs.UserRecord)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.UserChange())
def update_user(body: dict[str, Any], user_id: str) -> Response:
    """Change a user's name or role, or whether to sign in at all; a new role ends the sessions. 409 `last_admin`."""
    return answer(ask("accounts", "update_user", {"id": user_id, **body}))


@routes.route("/invitations", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Invitation))
@routes.arguments(inputs.PageQuery(), location="query")
def list_invitations(query: dict[str, Any]) -> Response:
    """Invitations that nobody has accepted yet."""
    return page(ask("accounts", "list_invitations", query), query)


@routes.route("/invitations/<id:invitation_id>", methods=["DELETE"])
@routes.response(204)
def withdraw_invitation(invitation_id: str) -> Response:
    """Take an invitation back."""
    ask("accounts", "withdraw_invitation", {"id": invitation_id})
    return Response(status=204)


@routes.route("/managed", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Organization))
@routes.arguments(inputs.PageQuery(), location="query")
def list_managed(query: dict[str, Any]) -> Response:
    """The organisations that yours manages: you see their deployments, and may buy for them."""
    return page(ask("accounts", "list_managed", query), query)


@routes.route("/addresses", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Address))
@routes.arguments(inputs.PageQuery(), location="query")
def list_addresses(query: dict[str, Any]) -> Response:
    """The address book of your organisation."""
    return page(ask("accounts", "list_addresses", query), query)


@routes.route("/addresses", methods=["POST"])
@routes.response(201, outputs.Address)
@routes.arguments(inputs.NewAddress())
def create_address(body: dict[str, Any]) -> Response:
    """Add an address. The first one becomes the default for bills and deliveries."""
    return answer(ask("accounts", "create_address", body), 201)


@routes.route("/addresses/<id:address_id>", methods=["GET"])
@routes.response(200, outputs.Address)
def get_address(address_id: str) -> Response:
    """One address."""
    return answer(ask("accounts", "get_address", {"id": address_id}))


@routes.route("/addresses/<id:address_id>", methods=["PATCH"])
@routes.response(200, outputs.Address)
@routes.arguments(inputs.AddressChange())
def update_address(body: dict[str, Any], address_id: str) -> Response:
    """Change an address. What was ordered or billed with it keeps its copy."""
    return answer(ask("accounts", "update_address", {"id": address_id, **body}))


@routes.route("/addresses/<id:address_id>", methods=["DELETE"])
@routes.response(204)
def delete_address(address_id: str) -> Response:
    """Forget an address. What was ordered or billed with it keeps its copy."""
    ask("accounts", "delete_address", {"id": address_id})
    return Response(status=204)


@routes.route("/api-keys", methods=["POST"])
@routes.response(201, outputs.ApiKeyCreated)
@routes.arguments(inputs.NewApiKey())
def create_api_key(body: dict[str, Any]) -> Response:
    """Make an API key. The key is shown this once."""
    key = new_secret("pck_")
    made = ask("accounts", "create_api_key", {**given(body), "digest": digest_of(key), "last_four": key[-4:]})
    return answer({**made, "key": key}, 201)


@routes.route("/api-keys", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.ApiKey))
@routes.arguments(inputs.PageQuery(), location="query")
def list_api_keys(query: dict[str, Any]) -> Response:
    """The API keys of your organisation."""
    return page(ask("accounts", "list_api_keys", query), query)


@routes.route("/api-keys/<id:key_id>", methods=["DELETE"])
@routes.response(204)
def revoke_api_key(key_id: str) -> Response:
    """Revoke an API key. It is worthless everywhere within a second."""
    ask("accounts", "revoke_api_key", {"id": key_id})
    return Response(status=204)
