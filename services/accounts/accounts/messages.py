"""What comes in and goes out: the shapes of RPC and events, with an example of each."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import fields, validate

from accounts.domain.deployments import State
from accounts.domain.emails import MAX_LENGTH
from accounts.domain.links import Notice, Purpose
from accounts.domain.roles import ROLES
from chassis.identity import SCOPES
from chassis.messages import (
    EventType,
    PlainString,
    RequestSchema,
    StrictBoolean,
    StrictInteger,
    TolerantSchema,
    UtcDateTime,
)

#: A language tag of BCP 47, as far as it matters for mails.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def _digest() -> fields.String:
    """The SHA-256 of a session token or API key, hexadecimal; the credential itself never gets here."""
    return fields.String(required=True, validate=validate.Regexp(_DIGEST, error="Not a SHA-256 in hexadecimal."))


class PageRequest(RequestSchema):
    """Asks for one page of a list."""

    limit = StrictInteger(load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=200))


class Nothing(RequestSchema):
    """No fields, either way."""


class ById(RequestSchema):
    """Names one object."""

    id = PlainString(required=True, max_length=64)


class User(TolerantSchema):
    """A user as others see one."""

    id = fields.String(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    language = fields.String(required=True)


class Organization(TolerantSchema):
    """An organisation; people know it by its number."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    number = fields.String(required=True)


class OrganizationFacts(Organization):
    """What of an organisation bears on its orders: dates are in its time zone, documents in its language."""

    time_zone = fields.String(required=True)
    language = fields.String(required=True)
    tax_exempt = fields.Boolean(required=True)
    tax_certificate = fields.String(required=True, allow_none=True)


class OrganizationRecord(OrganizationFacts):
    """An organisation as its own users see it."""

    users_count = StrictInteger(required=True)


class SetTaxCertificate(RequestSchema):
    """The number of the certificate by which an organisation is exempt from tax; None if it is not."""

    organization_id = PlainString(required=True, max_length=64)
    certificate = PlainString(required=True, allow_none=True, max_length=64)


def _maybe(max_length: int = 200) -> PlainString:
    return PlainString(load_default=None, allow_none=True, max_length=max_length)


class NewAddress(RequestSchema):
    """A new address; its country says whether it has, and needs, a state, a ZIP and a city."""

    name = PlainString(required=True)
    company = _maybe()
    address = PlainString(required=True)
    address_2 = _maybe()
    city = _maybe()
    state = _maybe()
    zip = _maybe(20)
    country = PlainString(required=True, max_length=2)
    default_billing = StrictBoolean(load_default=False)
    default_shipping = StrictBoolean(load_default=False)


class UpdateAddress(RequestSchema):
    """Which address, and what is new; a field that is missing stays."""

    id = PlainString(required=True, max_length=64)
    name = PlainString()
    company = PlainString(allow_none=True)
    address = PlainString()
    address_2 = PlainString(allow_none=True)
    city = PlainString(allow_none=True)
    state = PlainString(allow_none=True)
    zip = PlainString(allow_none=True, max_length=20)
    country = PlainString(max_length=2)
    default_billing = StrictBoolean()
    default_shipping = StrictBoolean()


class Address(TolerantSchema):
    """An address of the organisation's address book."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    company = fields.String(required=True, allow_none=True)
    address = fields.String(required=True)
    address_2 = fields.String(required=True, allow_none=True)
    city = fields.String(required=True, allow_none=True)
    state = fields.String(required=True, allow_none=True)
    zip = fields.String(required=True, allow_none=True)
    country = fields.String(required=True)
    default_billing = fields.Boolean(required=True)
    default_shipping = fields.Boolean(required=True)


class Addresses(TolerantSchema):
    """A page of addresses, newest first."""

    items = fields.List(fields.Nested(Address), required=True)
    next = fields.String(required=True, allow_none=True)


class AskBillingFacts(RequestSchema):
    """For which address; None for the default billing address."""

    address_id = PlainString(load_default=None, allow_none=True, max_length=64)


class BillingFacts(TolerantSchema):
    """The billing address (None: the organisation has none), and what else bears on an order's papers."""

    address = fields.Nested(Address, required=True, allow_none=True)
    organization = fields.Nested(OrganizationFacts, required=True)


def _language(**options: Any) -> fields.String:
    return fields.String(
        validate=validate.Regexp(_LANGUAGE, error="Not a language tag such as en or de-AT."), **options
    )


class UpdateOrganization(RequestSchema):
    """What is new about the organisation; a field that is missing stays."""

    name = PlainString()
    time_zone = PlainString(max_length=64)
    language = _language()


class UserRecord(User):
    """A user as the admins of the organisation see one."""

    active = fields.Boolean(required=True)
    created_at = UtcDateTime(required=True)


class Users(TolerantSchema):
    """A page of users, newest first."""

    items = fields.List(fields.Nested(UserRecord), required=True)
    next = fields.String(required=True, allow_none=True)


class UpdateUser(RequestSchema):
    """Which user, and what is new; a field that is missing stays."""

    id = PlainString(required=True, max_length=64)
    name = PlainString()
    role = fields.String(validate=validate.OneOf(ROLES))
    active = StrictBoolean()


class InviteUser(RequestSchema):
    """Who is to become a user of the organisation."""

    email = PlainString(required=True, max_length=MAX_LENGTH)
    name = PlainString(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))


class Invitation(TolerantSchema):
    """Who was invited. Whether the mail found somebody who can accept is not told."""

    id = fields.String(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True)
    invited_at = UtcDateTime(required=True)


class Invitations(TolerantSchema):
    """A page of invitations that nobody has accepted yet, newest first."""

    items = fields.List(fields.Nested(Invitation), required=True)
    next = fields.String(required=True, allow_none=True)


class SignIn(RequestSchema):
    """An address, a password that only accounts can read, and the digest of the session token the gateway made."""

    email = PlainString(required=True, max_length=MAX_LENGTH)
    sealed_password = fields.String(required=True, validate=validate.Length(1, 8192))
    #: Where the request came from; failures are counted for it.
    client_address = PlainString(required=True, max_length=64)
    session_digest = _digest()


class SignedIn(TolerantSchema):
    """A session has begun."""

    expires_at = UtcDateTime(required=True)
    user = fields.Nested(User, required=True)
    organization = fields.Nested(Organization, required=True)


class SignUp(RequestSchema):
    """Who wants an account, and an organisation that begins with it."""

    email = PlainString(required=True, max_length=MAX_LENGTH)
    name = PlainString(required=True)
    organization_name = PlainString(required=True)
    sealed_password = fields.String(required=True, validate=validate.Length(1, 8192))
    language = _language(load_default="en")
    #: Where the request came from; mails are limited by it.
    client_address = PlainString(required=True, max_length=64)


class Token(RequestSchema):
    """The digest of the token that came in a mail."""

    token_digest = _digest()


class RequestPasswordReset(RequestSchema):
    """Whose password is forgotten, and where the request came from."""

    email = PlainString(required=True, max_length=MAX_LENGTH)
    client_address = PlainString(required=True, max_length=64)


class ResetPassword(Token):
    """The digest of the token that came in the mail, and a password that only accounts can read."""

    sealed_password = fields.String(required=True, validate=validate.Length(1, 8192))


class ChangePassword(RequestSchema):
    """The old password and the new one, which only accounts can read, and the digest of the session that goes on."""

    sealed_old_password = fields.String(required=True, validate=validate.Length(1, 8192))
    sealed_new_password = fields.String(required=True, validate=validate.Length(1, 8192))
    session_digest = _digest()
    #: Where the request came from; failures are counted for it.
    client_address = PlainString(required=True, max_length=64)


class Authenticate(RequestSchema):
    """The digest of a session token or of an API key."""

    credential_digest = _digest()


class Authenticated(TolerantSchema):
    """Whose credential it is. `expires_at` is None for an API key; until `believed_until` nobody need ask again."""

    identity = fields.String(required=True)
    believed_until = UtcDateTime(required=True)
    expires_at = UtcDateTime(required=True, allow_none=True)
    user = fields.Nested(User, required=True)
    organization = fields.Nested(Organization, required=True)


class SignOut(RequestSchema):
    """The digest of the session token."""

    session_digest = _digest()


class CreateApiKey(RequestSchema):
    """A name for people, and of the key only what may be kept."""

    name = PlainString(required=True, max_length=100)
    digest = _digest()
    last_four = fields.String(
        required=True, validate=validate.Regexp(r"[A-Za-z0-9_-]{4}\Z", error="Not the last four characters of a key.")
    )
    scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES)), load_default=None, allow_none=True,
        validate=validate.Length(1, len(SCOPES)),
    )  # fmt: skip


class ApiKey(TolerantSchema):
    """An API key without the key."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    last_four = fields.String(required=True)
    created_at = UtcDateTime(required=True)
    scopes = fields.List(fields.String(), required=True)


class ApiKeys(TolerantSchema):
    """A page of API keys, newest first."""

    items = fields.List(fields.Nested(ApiKey), required=True)
    next = fields.String(required=True, allow_none=True)


class SearchDeployments(PageRequest):
    """The beginning of an id, or a part of a name; nothing for all."""

    q = PlainString(load_default="", min_length=0, max_length=200)


class Owner(TolerantSchema):
    """The organisation that a deployment belongs to."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class Deployment(TolerantSchema):
    """A deployment; `similar_to` names look-alikes of the same organisation."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    registered_on = fields.Date(required=True, format="iso")
    owner = fields.Nested(Owner, required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in State]))
    similar_to = fields.List(fields.String(), required=True)


class BoundContract(TolerantSchema):
    """A support contract of a deployment."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    bound_at = UtcDateTime(required=True)
    #: The first and the last day, in UTC; null: from the beginning on, without an end.
    starts_on = fields.Date(required=True, allow_none=True)
    ends_on = fields.Date(required=True, allow_none=True)


class Coverage(TolerantSchema):
    """A deployment and its contracts: support is for those that have one."""

    deployment = fields.Nested(Deployment, required=True)
    contracts = fields.List(fields.Nested(BoundContract), required=True)


class Entitlement(TolerantSchema):
    """A contract or licence that is bound to a deployment, for good."""

    order_id = fields.String(required=True)
    order_line_id = fields.String(required=True)
    kind = fields.String(required=True)
    sku = fields.String(required=True)
    name = fields.String(required=True)
    quantity = StrictInteger(required=True)
    bound_at = UtcDateTime(required=True)
    #: The first and the last day of a contract, in UTC; null: without an end.
    starts_on = fields.Date(required=True, allow_none=True)
    ends_on = fields.Date(required=True, allow_none=True)


class DeploymentRecord(Deployment):
    """A deployment with what is bound to it."""

    entitlements = fields.List(fields.Nested(Entitlement), required=True)


class AddDeployment(RequestSchema):
    """A deployment of a customer."""

    organization_id = PlainString(required=True, max_length=64)
    id = PlainString(required=True, max_length=12)
    name = PlainString(required=True)


class Management(RequestSchema):
    """Who manages whom."""

    manager_id = PlainString(required=True, max_length=64)
    managed_id = PlainString(required=True, max_length=64)


class Organizations(TolerantSchema):
    """A page of organisations, newest first."""

    items = fields.List(fields.Nested(Organization), required=True)
    next = fields.String(required=True, allow_none=True)


class SearchOrganizations(PageRequest):
    """A number, an id, or a part of a name; nothing for all."""

    q = PlainString(load_default="", min_length=0, max_length=200)


class FindOrganization(RequestSchema):
    """An organisation, by its id."""

    id = PlainString(required=True, max_length=64)


class OrganizationPage(TolerantSchema):
    """A page of organisations as staff see them, newest first."""

    items = fields.List(fields.Nested(OrganizationFacts), required=True)
    next = fields.String(required=True, allow_none=True)


class DeploymentPage(TolerantSchema):
    """A page of deployments, by id."""

    items = fields.List(fields.Nested(Deployment), required=True)
    next = fields.String(required=True, allow_none=True)


class CheckDeployments(RequestSchema):
    """The ids that somebody wants to bind something to."""

    ids = fields.List(PlainString(max_length=64), required=True, validate=validate.Length(max=500))


class VisibleDeployments(TolerantSchema):
    """Those of the asked that the caller may bind to or see; the others are left out."""

    items = fields.List(fields.Nested(Deployment), required=True)


class OrderFactsPage(RequestSchema):
    """A page of all bound order lines, for staff."""

    limit = StrictInteger(load_default=100, validate=validate.Range(min=1, max=500))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class OrderFact(TolerantSchema):
    """A line of an order that is bound to its deployment."""

    order_id = fields.String(required=True)
    line_id = fields.String(required=True)


class OrderFacts(TolerantSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(OrderFact), required=True)
    next = fields.String(required=True, allow_none=True)


class PaidOrganization(TolerantSchema):
    """Who bought."""

    id = fields.String(required=True)


class PaidLine(TolerantSchema):
    """What was bought, and for which deployment."""

    id = fields.String(required=True)
    sku = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    quantity = StrictInteger(required=True, validate=validate.Range(min=1))
    deployment_id = fields.String(load_default=None, allow_none=True)
    term_months = StrictInteger(load_default=None, allow_none=True, validate=validate.Range(min=1))


class OrderPaid(TolerantSchema):
    """What accounts reads of cart.order_paid.v1."""

    order_id = fields.String(required=True)
    organization = fields.Nested(PaidOrganization, required=True)
    lines = fields.List(fields.Nested(PaidLine), required=True)


class CredentialRevokedData(RequestSchema):
    """accounts.credential_revoked.v1"""

    credential_digest = _digest()


class OrderBoundData(RequestSchema):
    """accounts.order_bound.v1"""

    order_id = fields.String(required=True)
    line_ids = fields.List(fields.String(), required=True, validate=validate.Length(min=1))


class Recipient(RequestSchema):
    """Who gets a mail."""

    email = fields.String(required=True)
    name = fields.String(required=True)
    language = fields.String(required=True)


class NoticeIssuedData(RequestSchema):
    """accounts.notice_issued.v1; the token of a link is sealed for notifications."""

    notice_id = fields.String(required=True)
    purpose = fields.String(required=True, validate=validate.OneOf([*map(str, Purpose), *map(str, Notice)]))
    recipient = fields.Nested(Recipient, required=True)
    organization_name = fields.String(load_default=None, allow_none=True)
    sealed_token = fields.String(load_default=None, allow_none=True)
    expires_at = UtcDateTime(load_default=None, allow_none=True)


_SOME_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

CREDENTIAL_REVOKED = EventType(
    "accounts.credential_revoked.v1",
    CredentialRevokedData(),
    {"credential_digest": _SOME_DIGEST},
    must_route=False,  # a broadcast to gateways; none need be up, and one that starts knows nobody yet
)

ORDER_BOUND = EventType(
    "accounts.order_bound.v1",
    OrderBoundData(),
    {"order_id": "ord_01KAQ3V8Z5T6B9X4M2C7N0R1WD", "line_ids": ["oln_01KAQ3V8Z5T6B9X4M2C7N0R1WE"]},
)

NOTICE_ISSUED = EventType(
    "accounts.notice_issued.v1",
    NoticeIssuedData(),
    {
        "notice_id": "lnk_01KAQ3V8Z5T6B9X4M2C7N0R1WG",
        "purpose": "confirmation",
        "recipient": {"email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
        "organization_name": "Acme",
        "sealed_token": "c2VhbGVkIGZvciBub3RpZmljYXRpb25z",
        "expires_at": "2026-11-24T12:00:00.000Z",
    },
)

EVENTS = (CREDENTIAL_REVOKED, ORDER_BOUND, NOTICE_ISSUED)

_USER = {
    "id": "usr_01KAQ3V8Z5T6B9X4M2C7N0R1WA", "email": "ada@acme.example", "name": "Ada Buyer", "role": "buyer",
    "language": "en",
}  # fmt: skip
_USER_RECORD = {**_USER, "active": True, "created_at": "2026-11-22T12:00:00.000Z"}
_INVITATION = {
    "id": "lnk_01KAQ3V8Z5T6B9X4M2C7N0R1WJ", "email": "ivy@acme.example", "name": "Ivy Iverson", "role": "viewer",
    "invited_at": "2026-11-22T12:00:00.000Z",
}  # fmt: skip
_ORGANIZATION = {"id": "org_01KAQ3V8Z5T6B9X4M2C7N0R1WB", "name": "Acme", "number": "1003"}
_FACTS = {
    **_ORGANIZATION, "time_zone": "America/New_York", "language": "en", "tax_exempt": True,
    "tax_certificate": "NY-1187",
}  # fmt: skip
_ADDRESS_TEXT = {
    "name": "Alan Abel", "company": "Acme Telephony", "address": "1 Main Street", "address_2": None,
    "city": "Albany", "state": "NY", "zip": "12207", "country": "US", "default_billing": True,
    "default_shipping": False,
}  # fmt: skip
_ADDRESS = {"id": "adr_01KAQ3V8Z5T6B9X4M2C7N0R1WF", **_ADDRESS_TEXT}
_API_KEY = {
    "id": "key_01KAQ3V8Z5T6B9X4M2C7N0R1WC", "name": "Nightly orders", "last_four": "x7Qk",
    "created_at": "2026-11-22T12:00:00.000Z", "scopes": ["read", "buy"],
}  # fmt: skip
_DEPLOYMENT = {
    "id": "14181336", "name": "Berlin HQ", "registered_on": "2017-06-15",
    "owner": {"id": "org_01KAQ3V8Z5T6B9X4M2C7N0R1WB", "name": "Acme"}, "state": "active", "similar_to": ["14181337"],
}  # fmt: skip

#: A complete request and reply of each method, for the contract and for the tests of callers.
RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "sign_in": {
        "request": {
            "email": "ada@acme.example",
            "sealed_password": "c2VhbGVkIGZvciBhY2NvdW50cw==",
            "session_digest": _SOME_DIGEST,
            "client_address": "192.0.2.7",
        },
        "reply": {"expires_at": "2026-11-23T00:00:00.000Z", "user": _USER, "organization": _ORGANIZATION},
    },
    "authenticate": {
        "request": {"credential_digest": _SOME_DIGEST},
        "reply": {
            "identity": "c2lnbmVkIGJ5IGFjY291bnRz",
            "believed_until": "2026-11-22T12:05:00.000Z",
            "expires_at": "2026-11-23T00:00:00.000Z",
            "user": _USER,
            "organization": _ORGANIZATION,
        },
    },
    "sign_up": {
        "request": {
            "email": "ada@acme.example",
            "name": "Ada Buyer",
            "organization_name": "Acme",
            "sealed_password": "c2VhbGVkIGZvciBhY2NvdW50cw==",
            "language": "en",
            "client_address": "192.0.2.7",
        },
        "reply": {},
    },
    "confirm_sign_up": {"request": {"token_digest": _SOME_DIGEST}, "reply": {}},
    "request_password_reset": {
        "request": {"email": "ada@acme.example", "client_address": "192.0.2.7"},
        "reply": {},
    },
    "reset_password": {
        "request": {"token_digest": _SOME_DIGEST, "sealed_password": "c2VhbGVkIGZvciBhY2NvdW50cw=="},
        "reply": {},
    },
    "change_password": {
        "request": {
            "sealed_old_password": "c2VhbGVkIGZvciBhY2NvdW50cw==",
            "sealed_new_password": "c2VhbGVkIGZvciBhY2NvdW50cw==",
            "session_digest": _SOME_DIGEST,
            "client_address": "192.0.2.7",
        },
        "reply": {},
    },
    "sign_out": {"request": {"session_digest": _SOME_DIGEST}, "reply": {}},
    "get_organization": {"request": {}, "reply": {**_FACTS, "users_count": 3}},
    "set_tax_certificate": {
        "request": {"organization_id": _ORGANIZATION["id"], "certificate": "NY-1187"},
        "reply": _FACTS,
    },
    "list_addresses": {"request": {"limit": 20, "cursor": None}, "reply": {"items": [_ADDRESS], "next": None}},
    "get_address": {"request": {"id": _ADDRESS["id"]}, "reply": _ADDRESS},
    "create_address": {"request": _ADDRESS_TEXT, "reply": _ADDRESS},
    "update_address": {"request": {"id": _ADDRESS["id"], "zip": "12207"}, "reply": _ADDRESS},
    "delete_address": {"request": {"id": _ADDRESS["id"]}, "reply": {}},
    "billing_facts": {
        "request": {"address_id": _ADDRESS["id"]},
        "reply": {"address": _ADDRESS, "organization": _FACTS},
    },
    "update_organization": {"request": {"name": "Acme", "time_zone": "America/New_York"}, "reply": _FACTS},
    "list_users": {"request": {"limit": 20, "cursor": None}, "reply": {"items": [_USER_RECORD], "next": None}},
    "update_user": {"request": {"id": _USER["id"], "role": "buyer", "active": True}, "reply": _USER_RECORD},
    "invite_user": {
        "request": {"email": "ivy@acme.example", "name": "Ivy Iverson", "role": "viewer"},
        "reply": _INVITATION,
    },
    "list_invitations": {"request": {"limit": 20, "cursor": None}, "reply": {"items": [_INVITATION], "next": None}},
    "withdraw_invitation": {"request": {"id": _INVITATION["id"]}, "reply": {}},
    "accept_invitation": {
        "request": {"token_digest": _SOME_DIGEST, "sealed_password": "c2VhbGVkIGZvciBhY2NvdW50cw=="},
        "reply": {},
    },
    "deactivate_user": {"request": {"id": _USER["id"]}, "reply": {}},
    "create_api_key": {
        "request": {"name": "Nightly orders", "digest": _SOME_DIGEST, "last_four": "x7Qk", "scopes": ["read", "buy"]},
        "reply": _API_KEY,
    },
    "list_api_keys": {"request": {"limit": 20, "cursor": None}, "reply": {"items": [_API_KEY], "next": None}},
    "revoke_api_key": {"request": {"id": _API_KEY["id"]}, "reply": {}},
    "search_deployments": {
        "request": {"q": "1418", "limit": 20, "cursor": None},
        "reply": {"items": [_DEPLOYMENT], "next": None},
    },
    "get_coverage": {
        "request": {"id": "14181336"},
        "reply": {
            "deployment": _DEPLOYMENT,
            "contracts": [
                {
                    "sku": "CONTRACT-1Y",
                    "name": "Support contract",
                    "bound_at": "2026-11-22T12:00:00.000Z",
                    "starts_on": "2026-11-22",
                    "ends_on": "2027-11-21",
                }
            ],
        },
    },
    "get_deployment": {
        "request": {"id": "14181336"},
        "reply": {
            **_DEPLOYMENT,
            "entitlements": [
                {
                    "order_id": "ord_01KAQ3V8Z5T6B9X4M2C7N0R1WD",
                    "order_line_id": "oln_01KAQ3V8Z5T6B9X4M2C7N0R1WE",
                    "kind": "contract",
                    "sku": "CONTRACT-1Y",
                    "name": "Support contract, 1 year",
                    "quantity": 1,
                    "bound_at": "2026-11-22T12:00:00.000Z",
                    "starts_on": "2026-11-22",
                    "ends_on": "2027-11-21",
                }
            ],
        },
    },
    "retire_deployment": {"request": {"id": "14181336"}, "reply": {**_DEPLOYMENT, "state": "retired"}},
    "add_deployment": {
        "request": {"organization_id": _ORGANIZATION["id"], "id": "14181336", "name": "Berlin HQ"},
        "reply": _DEPLOYMENT,
    },
    "manage_organization": {
        "request": {"manager_id": "org_01KAQ3V8Z5T6B9X4M2C7N0R1WH", "managed_id": _ORGANIZATION["id"]},
        "reply": _ORGANIZATION,
    },
    "end_management": {
        "request": {"manager_id": "org_01KAQ3V8Z5T6B9X4M2C7N0R1WH", "managed_id": _ORGANIZATION["id"]},
        "reply": _ORGANIZATION,
    },
    "list_managed": {"request": {"limit": 20, "cursor": None}, "reply": {"items": [_ORGANIZATION], "next": None}},
    "search_organizations": {
        "request": {"q": "acme", "limit": 20, "cursor": None},
        "reply": {"items": [_FACTS], "next": None},
    },
    "find_organization": {"request": {"id": _ORGANIZATION["id"]}, "reply": _FACTS},
    "check_deployments": {"request": {"ids": ["14181336", "999"]}, "reply": {"items": [_DEPLOYMENT]}},
    "order_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {
            "items": [{"order_id": "ord_01KAQ3V8Z5T6B9X4M2C7N0R1WD", "line_id": "oln_01KAQ3V8Z5T6B9X4M2C7N0R1WE"}],
            "next": None,
        },
    },
}
