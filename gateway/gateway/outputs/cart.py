"""Carts, their lines and totals."""

from __future__ import annotations

from marshmallow import Schema, fields

from chassis.messages import money
from gateway.outputs.common import NUMBER, TEXT, maybe


class Totals(Schema):
    """What it costs."""

    subtotal = money(required=True)
    tax = money(required=True)
    total = money(required=True)


class Line(Schema):
    """One line of a cart or an order."""

    id = TEXT(required=True)
    sku = TEXT(required=True)
    name = TEXT(required=True)
    kind = TEXT()
    quantity = NUMBER(required=True)
    unit_price = money(required=True)
    total = money(required=True)
    credits = NUMBER(required=True, metadata={"description": "Credits that each one brings"})
    deployment_id = maybe(TEXT)
    credit_destination = maybe(TEXT, metadata={"description": "organization or support_card"})
    tax = money()


class TaxShown(Schema):
    """What is charged on top; with a certificate of exemption the rate is 0."""

    name = TEXT(required=True)
    rate_percent = TEXT(required=True, metadata={"description": "Of each line's total, rounded half up by line"})
    certificate = maybe(TEXT)


class AddressShown(Schema):
    """The billing address as it stood in the address book when the order was placed."""

    name = TEXT(required=True)
    company = maybe(TEXT)
    address = TEXT(required=True)
    address_2 = maybe(TEXT)
    city = maybe(TEXT)
    state = maybe(TEXT)
    zip = maybe(TEXT)
    country = TEXT(required=True)


class CartLine(Line):
    """One line of a cart."""

    needs_deployment = fields.Boolean(required=True)
    available = fields.Boolean(metadata={"description": "Whether it is still sold"})
    missing = fields.List(TEXT(), required=True, metadata={"description": "deployment, credit_destination"})


class Cart(Schema):
    """Your cart."""

    id = maybe(TEXT)
    version = NUMBER(required=True, metadata={"description": "The ETag"})
    currency = TEXT(required=True)
    lines = fields.List(fields.Nested(CartLine), required=True)
    totals = fields.Nested(Totals, required=True)
    line_count = NUMBER(required=True)
    terms_version = maybe(TEXT)
    tax = fields.Nested(TaxShown, allow_none=True, metadata={"description": "Null if none is known: name an address"})


class SkippedLine(Schema):
    """A line that the deployment was not applied to."""

    line_id = TEXT(required=True)
    reason = TEXT(required=True)


class CartWithDeployment(Cart):
    """The cart after Apply to All."""

    applied = fields.List(TEXT(), required=True)
    skipped = fields.List(fields.Nested(SkippedLine), required=True)
