"""The catalogue file: its shape, and how YAML (or JSON, which YAML contains) is read so that every error has a line.

The text becomes a tree of nodes that remember where they stood; the tree becomes plain values; marshmallow checks
their shape; `catalog.domain.rules` what must hold across them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import yaml
from marshmallow import ValidationError, fields, validate

from catalog.domain import rules
from catalog.domain.catalogue import (
    COUNTRY,
    MAX_CREDITS,
    MAX_QUANTITY,
    MAX_TERM_MONTHS,
    MAX_VALID_DAYS,
    SKU,
    SLUG,
    STATE,
    Problem,
    ProductKind,
)
from chassis.messages import PlainString, RequestSchema, StrictInteger, UtcDateTime, field_errors
from kernel.money import MINOR_DIGITS

# -- the shape ------------------------------------------------------------------------------------------------------


class Entries(fields.List[Any]):
    """A list that keeps what was right in each entry at the entry's place, so that rules can go on from there."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        loaded: list[Any] = []
        errors: dict[int, Any] = {}
        for number, entry in enumerate(value):
            try:
                loaded.append(self.inner.deserialize(entry, **kwargs))
            except ValidationError as error:
                loaded.append(error.valid_data or {})
                errors[number] = error.messages
        if errors:
            raise ValidationError(errors, valid_data=loaded)
        return loaded


class StrictBoolean(fields.Boolean):
    """True or false: not "yes", not 1."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Prose(fields.String):
    """Text of several lines."""

    default_error_messages = {"control": "Control characters are not allowed."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if any(ord(character) < 32 and character not in "\n\t" for character in text):
            raise self.make_error("control")
        return text.strip()


def _slug(**kwargs: Any) -> fields.String:
    pattern = validate.Regexp(rf"{SLUG}\Z", error="Use small letters and digits, joined by single hyphens.")
    return PlainString(max_length=64, validate=pattern, **kwargs)


class CategoryEntry(RequestSchema):
    """A category; without a parent it stands at the top."""

    slug = _slug(required=True)
    name = PlainString(required=True, max_length=100)
    parent = _slug(load_default=None, allow_none=True)
    default = StrictBoolean(load_default=False)


class PriceEntry(RequestSchema):
    """A price in one currency."""

    currency = fields.String(required=True, validate=validate.OneOf(sorted(MINOR_DIGITS)))
    amount = fields.String(
        required=True,
        validate=validate.Length(max=20),
        error_messages={"invalid": 'Write the amount in quotes, such as "240.00": a bare number is not exact.'},
    )


class ProductEntry(RequestSchema):
    """A product with all its prices."""

    sku = PlainString(
        required=True,
        max_length=64,
        validate=validate.Regexp(rf"{SKU}\Z", error="Use capitals and digits, joined by single - . or _."),
    )
    name = PlainString(required=True)
    description = Prose(required=True, validate=validate.Length(min=1, max=5_000))
    category = _slug(required=True)
    kind = fields.String(required=True, validate=validate.OneOf([str(kind) for kind in ProductKind]))
    credits = StrictInteger(load_default=0, validate=validate.Range(min=0, max=MAX_CREDITS))
    needs_deployment = StrictBoolean(load_default=False)
    needs_contract = StrictBoolean(load_default=False)
    term_months = StrictInteger(load_default=None, allow_none=True, validate=validate.Range(min=1, max=MAX_TERM_MONTHS))
    credits_valid_days = StrictInteger(
        load_default=None, allow_none=True, validate=validate.Range(min=0, max=MAX_VALID_DAYS)
    )
    max_quantity = StrictInteger(load_default=100, validate=validate.Range(min=1, max=MAX_QUANTITY))
    active = StrictBoolean(load_default=True)
    prices = Entries(fields.Nested(PriceEntry), required=True, validate=validate.Length(min=1))


class TermsEntry(RequestSchema):
    """A version of the terms and conditions, in force from a moment on."""

    version = PlainString(required=True, max_length=32)
    published_at = UtcDateTime(required=True)
    text = Prose(required=True, validate=validate.Length(min=1, max=200_000))


class TaxRateEntry(RequestSchema):
    """A tax on everything that is sold to a country, or to one state of it, from a day on."""

    country = fields.String(
        required=True, validate=validate.Regexp(rf"{COUNTRY}\Z", error="Use two capitals, as ISO 3166-1 does: US.")
    )  # fmt: skip
    state = fields.String(
        load_default=None, allow_none=True,
        validate=validate.Regexp(rf"{STATE}\Z", error="Use capitals and digits, such as NY."),
    )  # fmt: skip
    name = PlainString(required=True, max_length=40)
    percent = fields.String(
        required=True,
        validate=validate.Length(max=8),
        error_messages={"invalid": 'Write the percentage in quotes, such as "8.875": a bare number is not exact.'},
    )
    valid_from = fields.Date(required=True, format="iso")
    valid_until = fields.Date(load_default=None, allow_none=True, format="iso")


class CatalogueSchema(RequestSchema):
    """The whole file."""

    categories = Entries(fields.Nested(CategoryEntry), required=True, validate=validate.Length(min=1))
    products = Entries(fields.Nested(ProductEntry), required=True)
    terms = Entries(fields.Nested(TermsEntry), required=True, validate=validate.Length(min=1))
    tax_rates = Entries(fields.Nested(TaxRateEntry))


# -- the text -------------------------------------------------------------------------------------------------------

_TAG = "tag:yaml.org,2002:"
_CONSTRUCTED = {_TAG + name for name in ("str", "int", "float", "bool", "null")}
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\t', re.DOTALL)
_JSON_ESCAPE = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|.)", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class CatalogueFile:
    """A file as far as it could be read.

    Args:
        data: what is well-formed, by the names of `CatalogueSchema`; entries stand where they stood in the file.
        lines: the line of each path, counted from 1.
        problems: what is wrong so far.
    """

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, problems: Iterable[Problem]) -> None:
        """Note further problems, each with the line of its path or, if that is missing, of what should hold it."""
        self.problems.extend(problem if problem.line else self._located(problem) for problem in problems)

    def _located(self, problem: Problem) -> Problem:
        path = problem.path
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return replace(problem, line=self.lines.get(path, 1))


def read_file(text: str, *, store_currency: str, now: datetime) -> CatalogueFile:
    """Read a catalogue file and check all that can be checked without the database.

    Args:
        text: YAML or JSON.
        store_currency: every product must have a price in it.
        now: the moment at which some terms must be in force.
    """
    file = CatalogueFile()
    values = _read_values(text, file)
    if values is None and file.problems:
        return file
    unreadable = {problem.path for problem in file.problems}
    try:
        file.data = CatalogueSchema().load(values)
    except ValidationError as error:
        file.data = error.valid_data if isinstance(error.valid_data, dict) else {}
        found = [Problem(wrong["field"], wrong["message"]) for wrong in field_errors(error.messages)]
        file.add(problem for problem in found if problem.path not in unreadable)
    file.add(rules.problems_of(file.data, store_currency=store_currency, now=now))
    return file


def _read_values(text: str, file: CatalogueFile) -> Any:
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(_as_yaml(text))
        node = loader.get_single_node()
        if node is None:
            file.add([Problem("", "The file is empty.", 1)])
            return None
        return _NodeReader(loader, file).read(node, "", 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        file.add([Problem("", f"Not YAML or JSON: {error.problem or error.context}.", mark.line + 1 if mark else 1)])
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        file.add([Problem("", f"Not YAML or JSON: {error.reason}.", line)])
    except RecursionError:
        file.add([Problem("", "Not a catalogue: it is nested too deeply.", 1)])
    finally:
        if loader is not None:
            loader.dispose()
    return None


def _as_yaml(text: str) -> str:
    """JSON in the words of YAML 1.1, line by line: no tabs between tokens, no surrogate pairs in strings."""
    if not text.lstrip().startswith("{"):
        return text
    return _JSON_TOKEN.sub(lambda token: " " if token[0] == "\t" else _JSON_ESCAPE.sub(_join_pair, token[0]), text)


def _join_pair(escape: re.Match[str]) -> str:
    if escape[1] is None:
        return escape[0]
    code = 0x10000 + (int(escape[1], 16) - 0xD800 << 10) + int(escape[2], 16) - 0xDC00
    return f"\\U{code:08x}"


class _NodeReader:
    """Turns nodes into plain values, and notes where each stood.

    It reports what YAML would pass over in silence (a key given twice) and what has no place in data (tags, aliases:
    an alias has the line of what it stands for, and a chain of them can blow up or go round).
    """

    def __init__(self, loader: yaml.SafeLoader, file: CatalogueFile) -> None:
        self._loader = loader
        self._file = file
        self._seen: set[int] = set()

    def read(self, node: yaml.Node, path: str, line: int) -> Any:
        self._file.lines.setdefault(path, line)
        if id(node) in self._seen:
            return self._refuse(path, line, "Write the value out: aliases are not allowed.")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [
                self.read(item, f"{path}.{number}", item.start_mark.line + 1) for number, item in enumerate(node.value)
            ]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        return self._refuse(path, line, f"The tag {node.tag!r} is not allowed.")

    def _mapping(self, node: yaml.MappingNode, path: str) -> Mapping[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(path, line, "A key must be a word.")
                continue
            inner = f"{path}.{key.value}" if path else key.value
            if key.value in values:
                first = self._file.lines[inner]
                self._refuse(inner, line, f"{key.value!r} is given twice, first on line {first}.")
                continue
            values[key.value] = self.read(value, inner, line)
        return values

    def _scalar(self, node: yaml.ScalarNode, path: str, line: int) -> Any:
        if node.tag == _TAG + "timestamp":
            return node.value
        if node.tag not in _CONSTRUCTED:
            return self._refuse(path, line, f"The tag {node.tag!r} is not allowed.")
        try:
            value = self._loader.construct_object(node)
            if isinstance(value, str):
                value.encode()
        except (ValueError, yaml.YAMLError):
            return self._refuse(path, line, "Not a value that can be read.")
        return value

    def _refuse(self, path: str, line: int, message: str) -> None:
        self._file.add([Problem(path, message, line)])
