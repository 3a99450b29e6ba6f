"""What all answers are made of: plain fields, problems, pages."""

from __future__ import annotations

from functools import cache
from typing import Any

from marshmallow import Schema, fields

NUMBER = fields.Integer
TEXT = fields.String
WHEN = fields.AwareDateTime


def maybe(field: type[fields.Field[Any]], **options: Any) -> fields.Field[Any]:
    """A field that is always there, and may be null."""
    return field(required=True, allow_none=True, **options)


class Problem(Schema):
    """Every error (RFC 9457)."""

    type = TEXT(required=True)
    title = TEXT(required=True)
    status = NUMBER(required=True)
    detail = TEXT(required=True, metadata={"description": "A sentence for people"})
    code = TEXT(required=True, metadata={"description": "A stable word for programs"})
    correlation_id = TEXT(required=True)
    errors = fields.List(fields.Nested("WrongField"))


class WrongField(Schema):
    """One wrong field."""

    field = TEXT(required=True, metadata={"example": "lines.0.quantity"})
    message = TEXT(required=True)


@cache  # one schema for all routes that list the same
def page_of(item: type[Schema]) -> type[Schema]:
    """One page of a list of `item`."""
    return Schema.from_dict(
        {"items": fields.List(fields.Nested(item), required=True), "next": maybe(TEXT)},
        name=f"{item.__name__}Page",
    )
