"""What the catalogue is asked and answers. It emits no events."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from catalog.domain.catalogue import ProductKind
from chassis.messages import EventType, PlainString, RequestSchema, StrictInteger, UtcDateTime, money
from kernel.money import MINOR_DIGITS

_KINDS = validate.OneOf([str(kind) for kind in ProductKind])


class ListCategories(RequestSchema):
    """Nothing to say."""


class Category(RequestSchema):
    """A category; `default` marks the one the store opens with."""

    slug = fields.String(required=True)
    name = fields.String(required=True)
    parent = fields.String(required=True, allow_none=True)
    default = fields.Boolean(required=True)


class CategoryList(RequestSchema):
    """The whole tree, in the order of the catalogue file."""

    items = fields.List(fields.Nested(Category), required=True)


class ListProducts(RequestSchema):
    """A page of what is on sale, of a category and its sub-categories if one is named."""

    category = PlainString(max_length=64, load_default=None, allow_none=True)
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = PlainString(max_length=200, load_default=None, allow_none=True)


class Product(RequestSchema):
    """A product; `price` is the one in the store's currency (the first there is, should that be missing)."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    category = fields.String(required=True)
    kind = fields.String(required=True, validate=_KINDS)
    credits = StrictInteger(required=True)
    needs_deployment = fields.Boolean(required=True)
    needs_contract = fields.Boolean(required=True)
    max_quantity = StrictInteger(required=True)
    #: Of a contract: for how long it runs.
    term_months = StrictInteger(required=True, allow_none=True)
    #: For how long its credits can be used; 0: for ever; null: as the store has it.
    credits_valid_days = StrictInteger(required=True, allow_none=True)
    price = money(required=True)
    prices = fields.List(money(), required=True)
    active = fields.Boolean(required=True)


class ProductPage(RequestSchema):
    """A page of products by SKU."""

    items = fields.List(fields.Nested(Product), required=True)
    next = fields.String(required=True, allow_none=True)


class GetProduct(RequestSchema):
    """Which product."""

    sku = PlainString(required=True, max_length=64)


class Jurisdiction(RequestSchema):
    """Where something is sold to: an ISO 3166-1 country, and a state or province of it."""

    country = PlainString(max_length=2, required=True)
    state = PlainString(max_length=64, allow_none=True, load_default=None)


class PriceLines(RequestSchema):
    """What a cart holds, and in which currency it pays; and where it is taxed, to be told the rate."""

    taxed_in = fields.Nested(Jurisdiction, allow_none=True, load_default=None)
    skus = fields.List(PlainString(max_length=64), required=True, validate=validate.Length(max=500))
    currency = fields.String(required=True, validate=validate.OneOf(sorted(MINOR_DIGITS)))


class PricedLine(RequestSchema):
    """What a checkout must know of a product."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True, validate=_KINDS)
    credits = StrictInteger(required=True)
    needs_deployment = fields.Boolean(required=True)
    max_quantity = StrictInteger(required=True)
    term_months = StrictInteger(required=True, allow_none=True)
    credits_valid_days = StrictInteger(required=True, allow_none=True)
    unit_price = money(required=True)


class Tax(RequestSchema):
    """A tax on everything that is sold somewhere."""

    name = fields.String(required=True)
    #: Parts per million: 88750 are 8.875 percent.
    rate_ppm = StrictInteger(required=True)


class PricedLines(RequestSchema):
    """The products that are sold in that currency, by SKU; `terms_version` is null before the first import."""

    #: Null where there is no tax; only there if it was asked for.
    tax = fields.Nested(Tax, allow_none=True)

    items = fields.List(fields.Nested(PricedLine), required=True)
    terms_version = fields.String(required=True, allow_none=True)


class GetTerms(RequestSchema):
    """Nothing to say."""


class Terms(RequestSchema):
    """The terms in force."""

    version = fields.String(required=True)
    text = fields.String(required=True)
    published_at = UtcDateTime(required=True)


EVENTS: tuple[EventType, ...] = ()

_PRODUCT: dict[str, Any] = {
    "sku": "HOURLY-120",
    "name": "Hourly support, 120 credits",
    "description": "Two hours of support.",
    "category": "hourly-support",
    "kind": "credit_pack",
    "credits": 120,
    "needs_deployment": False,
    "needs_contract": True,
    "max_quantity": 100,
    "term_months": None,
    "credits_valid_days": 365,
    "price": {"amount_minor": 24000, "currency": "USD"},
    "prices": [{"amount_minor": 22200, "currency": "EUR"}, {"amount_minor": 24000, "currency": "USD"}],
    "active": True,
}

RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "list_categories": {
        "request": {},
        "reply": {
            "items": [
                {"slug": "support", "name": "Support", "parent": None, "default": False},
                {"slug": "hourly-support", "name": "Hourly Support", "parent": "support", "default": True},
            ]
        },
    },
    "list_products": {
        "request": {"category": "support", "limit": 20, "cursor": None},
        "reply": {"items": [_PRODUCT], "next": None},
    },
    "get_product": {"request": {"sku": "HOURLY-120"}, "reply": _PRODUCT},
    "price_lines": {
        "request": {
            "skus": ["HOURLY-120", "NO-SUCH-THING"],
            "currency": "USD",
            "taxed_in": {"country": "US", "state": "NY"},
        },
        "reply": {
            "items": [
                {
                    "sku": "HOURLY-120",
                    "name": "Hourly support, 120 credits",
                    "kind": "credit_pack",
                    "credits": 120,
                    "needs_deployment": False,
                    "max_quantity": 100,
                    "term_months": None,
                    "credits_valid_days": 365,
                    "unit_price": {"amount_minor": 24000, "currency": "USD"},
                }
            ],
            "terms_version": "2026-11",
            "tax": {"name": "Sales tax", "rate_ppm": 88750},
        },
    },
    "get_terms": {
        "request": {},
        "reply": {"version": "2026-11", "text": "1. Credits ...", "published_at": "2026-11-01T00:00:00.000Z"},
    },
}
