"""Categories, products, terms."""

from __future__ import annotations

from marshmallow import Schema, fields

from chassis.messages import money
from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class Category(Schema):
    """A category of products."""

    slug = TEXT(required=True)
    name = TEXT(required=True)
    parent = maybe(TEXT)
    default = fields.Boolean(required=True)


class Product(Schema):
    """What is sold."""

    sku = TEXT(required=True)
    name = TEXT(required=True)
    description = TEXT(required=True)
    category = TEXT(required=True)
    kind = TEXT(required=True, metadata={"description": "credit_pack, contract, licence or hardware"})
    credits = NUMBER(required=True, metadata={"description": "Credits that one brings; 1 credit is 1 minute"})
    needs_deployment = fields.Boolean(required=True)
    needs_contract = fields.Boolean(required=True)
    max_quantity = NUMBER(required=True)
    term_months = NUMBER(allow_none=True, metadata={"description": "Of a contract: for how long it runs"})
    credits_valid_days = NUMBER(
        allow_none=True,
        metadata={"description": "For how long its credits can be used; 0 for ever, null as the store has it"},
    )
    price = money(required=True)
    prices = fields.List(money(), required=True)
    active = fields.Boolean(required=True)


class Terms(Schema):
    """The terms and conditions of the moment."""

    version = TEXT(required=True)
    text = TEXT(required=True)
    published_at = WHEN(required=True)
