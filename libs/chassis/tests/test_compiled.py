"""The shorter way through a schema ends where the schema itself would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from marshmallow import (
    EXCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    pre_load,
    validate,
    validates,
    validates_schema,
)

from chassis.compiled import compiled
from chassis.messages import (
    PlainString,
    RequestSchema,
    StrictInteger,
    TolerantSchema,
    UtcDateTime,
    dump_checked,
    money,
)


class Line(RequestSchema):
    text = PlainString(required=True, max_length=10)
    sold = fields.Boolean(load_default=False)
    yes = fields.Boolean(truthy={"yes"}, falsy={"no"})


class Order(RequestSchema):
    lines = fields.List(fields.Nested(Line), validate=validate.Length(max=2))
    maybe = fields.List(fields.Nested(Line, allow_none=True), allow_none=True)
    more = fields.Nested(Line, unknown=EXCLUDE, load_default=None, allow_none=True)
    number = StrictInteger(required=True, validate=validate.Range(min=1))
    note = PlainString(allow_none=True)
    price = money(load_default=None, allow_none=True)
    tags = fields.List(fields.String(), load_default=list)
    sent_at = UtcDateTime(data_key="sent")
    kind = fields.String(validate=validate.OneOf(["a", "b"]), load_default="a", dump_default="b")
    told = fields.Integer(dump_only=True)
    secret = fields.String(load_only=True)


class Tolerant(Order, TolerantSchema):
    class Meta(TolerantSchema.Meta):
        pass


class Hooked(RequestSchema):
    number = StrictInteger()

    @pre_load
    def double(self, data: Any, **_: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("number"), int):
            return {**data, "number": 2 * data["number"]}
        return data

    @post_load
    def wrapped(self, data: Any, **_: Any) -> Any:
        return {"wrapped": data}


class Crossed(RequestSchema):
    low = StrictInteger(required=True)
    high = StrictInteger(required=True)

    @validates_schema
    def ordered(self, data: Any, **_: Any) -> None:
        if data["low"] > data["high"]:
            raise ValidationError("the wrong way round")


class Checked(RequestSchema):
    word = fields.String()

    @validates("word")
    def lower(self, value: str, data_key: str) -> None:
        if value != value.lower():
            raise ValidationError("lower case, please")


class Renamed(RequestSchema):
    name = fields.String(attribute="other")
    items = fields.List(fields.String())


class Listed(RequestSchema):
    """With a name that dict has, too."""

    items = fields.List(fields.String(), required=True)
    number = StrictInteger(load_default=1)
    sent_at = UtcDateTime(required=True)


SCHEMAS: list[Schema] = [
    Order(), Tolerant(), Hooked(), Crossed(), Checked(), Renamed(), Order(partial=True), Order(only=("number", "kind")),
    Listed(),
]  # fmt: skip
NAMES = ("number", "note", "price", "tags", "sent", "sent_at", "kind", "told", "secret", "low", "high", "word", "name",
         "items", "other", "lines", "maybe", "more", "unheard of")  # fmt: skip
values = strategies.sampled_from([
    None, True, 0, 1, -1, 2.0, "1", "a", "b", "A", " x ", "\x00", [], ["a"], [1], {}, "2026-11-24T12:00:00Z",
    "2026-11-24T12:00:00", "20261124T120000+05", "yesterday", {"amount_minor": 5, "currency": "USD"},
    {"amount_minor": "5"},
    {"amount_minor": 5, "currency": "USD", "x": 1}, {"text": "a"}, {"text": "a", "sold": True, "yes": "yes"},
    {"text": "a", "sold": "true", "yes": False}, {"text": "a", "x": 1}, {"text": "\x00"}, [{"text": "a"}],
    [{"text": " b "}, None], [{"text": "a"}, {}], [{"text": "a"}] * 3, [1], ({"text": "a"},),
])  # fmt: skip
messages = strategies.dictionaries(strategies.sampled_from(NAMES), values, max_size=8) | values
unhurried = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        return type(error), getattr(error, "messages", str(error))


@unhurried
@given(strategies.sampled_from(SCHEMAS), messages)
def test_it_loads_what_the_schema_loads(schema: Schema, data: Any) -> None:
    assert outcome(compiled(schema).load, data) == outcome(schema.load, data)


@unhurried
@given(strategies.sampled_from(SCHEMAS), messages)
def test_it_checks_what_the_schema_checks(schema: Schema, data: Any) -> None:
    checked = outcome(compiled(schema).check, data)
    assert (checked[1] if checked else {}) == schema.validate(data)


@unhurried
@given(strategies.sampled_from(SCHEMAS), messages)
def test_it_dumps_what_the_schema_dumps(schema: Schema, data: Any) -> None:
    assert outcome(compiled(schema).dump, data) == outcome(schema.dump, data)


def test_what_is_wrong_is_not_sent() -> None:
    assert dump_checked(Order(), {"number": 3}) == {"number": 3, "kind": "b"}
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        dump_checked(Order(), {"number": 0})


def test_values_are_made_anew_for_each_message() -> None:
    first = compiled(SCHEMAS[0]).load({"number": 1})
    first["tags"].append("mine")
    assert compiled(SCHEMAS[0]).load({"number": 1})["tags"] == []
