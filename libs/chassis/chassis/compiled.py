"""A shorter way through marshmallow for the messages that are right, which is nearly all of them.

marshmallow prepares for errors, partial loads, hooks and collections at each field of each message. For a schema that
uses none of it, loading is to let each field deserialize its value. So does `Compiled`, with the schema's own fields;
whatever is wrong or out of the ordinary goes to the schema itself, whose word on it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, missing
from marshmallow.fields import Field

#: What a schema may not have changed for the shorter way to be the same.
_METHODS = ("load", "dump", "_do_load", "_deserialize", "_serialize", "handle_error", "get_attribute")


class Compiled:
    """A schema with the shorter way, where there is one.

    Args:
        schema: the one that decides.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._plain = _is_plain(schema)
        self._refuses_unknown = schema.unknown == RAISE
        self._loads = [(name, _key(name, field), field.deserialize) for name, field in schema.load_fields.items()]
        self._known = frozenset(key for _, key, _ in self._loads)
        self._dumps = [(name, _key(name, field), field.serialize) for name, field in schema.dump_fields.items()]

    def load(self, data: Any) -> dict[str, Any]:
        """What `schema.load` returns.

        Raises:
            ValidationError: as `schema.load` does.
        """
        if self._plain and type(data) is dict:
            try:
                loaded = self._load(data)
            except ValidationError:
                pass  # let the schema find everything that is wrong, and word it
            else:
                if loaded is not None:
                    return loaded
        checked: dict[str, Any] = self._schema.load(data)
        return checked

    def check(self, data: Any) -> None:
        """What `schema.validate` checks.

        Raises:
            ValidationError: with everything that is wrong.
        """
        if self._plain:
            self.load(data)
            return
        problems = self._schema.validate(data)
        if problems:
            raise ValidationError(problems)

    def dump(self, data: Any) -> dict[str, Any]:
        """What `schema.dump` returns."""
        if self._plain and type(data) is dict:
            dumped = {}
            for name, key, serialize in self._dumps:
                value = serialize(name, data, _value)
                if value is not missing:
                    dumped[key] = value
            return dumped
        written: dict[str, Any] = self._schema.dump(data)
        return written

    def _load(self, data: dict[str, Any]) -> dict[str, Any] | None:
        if self._refuses_unknown and not self._known.issuperset(data):
            return None
        loaded = {}
        for name, key, deserialize in self._loads:
            value = deserialize(data.get(key, missing), key, data)
            if value is not missing:
                loaded[name] = value
        return loaded


@lru_cache(maxsize=2048)
def compiled(schema: Schema) -> Compiled:
    """The shorter way of a schema, made once."""
    return Compiled(schema)


def _is_plain(schema: Schema) -> bool:
    fields = [*schema.load_fields.items(), *schema.dump_fields.items()]
    return (
        not any(schema._hooks.values())
        and not schema.many
        and not schema.partial
        and schema.unknown in (RAISE, EXCLUDE)
        and schema.dict_class is dict
        and all(getattr(type(schema), method) is getattr(Schema, method) for method in _METHODS)
        # a field by the name of a method of dict is looked up there by marshmallow when it is missing
        and not any(field.attribute or "." in name or hasattr(dict, name) for name, field in fields)
    )


def _key(name: str, field: Field[Any]) -> str:
    return name if field.data_key is None else field.data_key


def _value(data: Mapping[str, Any], name: str, default: Any) -> Any:
    return data.get(name, default)
