"""Users, organisations, addresses, keys, deployments."""

from __future__ import annotations

from marshmallow import Schema, fields

from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class User(Schema):
    """A user."""

    id = TEXT(required=True)
    email = TEXT(required=True)
    name = TEXT(required=True)
    role = TEXT(required=True)
    language = TEXT(required=True)


class Party(Schema):
    """An organisation as others see it."""

    id = TEXT(required=True)
    name = TEXT(required=True)


class Organization(Party):
    """An organisation."""

    number = TEXT(required=True)


class OrganizationFacts(Organization):
    """An organisation as its own users see it."""

    time_zone = TEXT(required=True, metadata={"description": "IANA; the dates of its quotes and invoices are in it"})
    language = TEXT(required=True)
    tax_exempt = fields.Boolean(required=True)
    tax_certificate = maybe(TEXT)


class OrganizationRecord(OrganizationFacts):
    """An organisation with the number of its users."""

    users_count = NUMBER(required=True)


class Address(Schema):
    """An address of your organisation. Orders and invoices keep a copy of the one they were made with."""

    id = TEXT(required=True)
    name = TEXT(required=True)
    company = maybe(TEXT)
    address = TEXT(required=True)
    address_2 = maybe(TEXT)
    city = maybe(TEXT)
    state = maybe(TEXT)
    zip = maybe(TEXT)
    country = TEXT(required=True)
    default_billing = fields.Boolean(required=True)
    default_shipping = fields.Boolean(required=True)


class Session(Schema):
    """A session. The token is shown this once."""

    token = TEXT(required=True)
    expires_at = WHEN(required=True)
    user = fields.Nested(User, required=True)
    organization = fields.Nested(Organization, required=True)


class ApiKey(Schema):
    """An API key without its secret."""

    id = TEXT(required=True)
    name = TEXT(required=True)
    last_four = TEXT(required=True)
    created_at = WHEN(required=True)
    scopes = fields.List(TEXT(), required=True, metadata={"description": "What it may be used for"})


class UserRecord(User):
    """A user as the admins see one."""

    active = fields.Boolean(required=True)
    created_at = WHEN(required=True)


class Invitation(Schema):
    """Who was invited. Whether the mail has found somebody who can accept is not told."""

    id = TEXT(required=True)
    email = TEXT(required=True)
    name = TEXT(required=True)
    role = TEXT(required=True)
    invited_at = WHEN(required=True)


class ApiKeyCreated(ApiKey):
    """A new API key. The key is shown this once."""

    key = TEXT(required=True)


class Deployment(Schema):
    """A deployment that licences and contracts may be bound to."""

    id = TEXT(required=True)
    name = TEXT(required=True)
    registered_on = TEXT(required=True)
    owner = fields.Nested(Party, required=True)
    state = TEXT(required=True, metadata={"description": "active or retired"})
    similar_to = fields.List(TEXT(), required=True, metadata={"description": "IDs that are easily mistaken for it"})


class Entitlement(Schema):
    """A contract or licence that is bound to a deployment. It cannot be moved."""

    order_id = TEXT(required=True)
    order_line_id = TEXT(required=True)
    kind = TEXT(required=True, metadata={"description": "contract or licence"})
    sku = TEXT(required=True)
    name = TEXT(required=True)
    quantity = NUMBER(required=True)
    bound_at = WHEN(required=True)
    starts_on = maybe(fields.Date, metadata={"description": "The first day of a contract, in UTC"})
    ends_on = maybe(fields.Date, metadata={"description": "The last one; null: without an end"})


class DeploymentRecord(Deployment):
    """A deployment with what is bound to it, oldest first."""

    entitlements = fields.List(fields.Nested(Entitlement), required=True)
