"""A shorter way through marshmallow for the messages that are right, which is nearly all of them.

marshmallow prepares for errors, partial loads, hooks and collections at each field of each message. For a schema that
uses none of it, loading is to let each field deserialize its value, which for text, numbers and the like is to look at
its type. So does `Compiled`; whatever is wrong or out of the ordinary goes to the schema itself, whose word on it
stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, missing
from marshmallow.fields import Field

Load = Callable[[Any], Any]

#: Raised where the schema itself must look; nobody reads it.
_ODD = ValidationError("odd")
#: Values of these types are written as they are by fields that do nothing else.
_PLAIN: tuple[tuple[type, Any], ...] = ((str, fields.String), (int, fields.Integer), (bool, fields.Boolean))
_BOOLEANS = (fields.Boolean.truthy, fields.Boolean.falsy)
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
        # a value that is missing is looked up by marshmallow among the methods of dict, if it has the name of one
        self._writes_plain = self._plain and not any(hasattr(dict, name) for name in schema.dump_fields)
        self._refuses_unknown = schema.unknown == RAISE
        self._loads = [(name, _key(name, field), _loader(field)) for name, field in schema.load_fields.items()]
        self._known = frozenset(key for _, key, _ in self._loads)
        self._dumps = [(name, _key(name, field), _writer(field), field) for name, field in schema.dump_fields.items()]

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
        if (
            self._plain
            and type(data) is dict
            and (self._writes_plain or data.keys() >= self._schema.dump_fields.keys())
        ):
            dumped = {}
            for name, key, write, field in self._dumps:
                value = data.get(name, missing)
                value = write(value) if value is not missing else field.serialize(name, data, _value)
                if value is not missing:
                    dumped[key] = value
            return dumped
        written: dict[str, Any] = self._schema.dump(data)
        return written

    def load_nested(self, data: Any) -> dict[str, Any]:
        """The same inside of another message.

        Raises:
            ValidationError: something is wrong or out of the ordinary; the outer schema finds out what.
        """
        loaded = self._load(data) if self._plain and type(data) is dict else None
        if loaded is None:
            raise _ODD
        return loaded

    def _load(self, data: dict[str, Any]) -> dict[str, Any] | None:
        if self._refuses_unknown and not self._known.issuperset(data):
            return None
        loaded = {}
        for name, key, load in self._loads:
            value = load(data.get(key, missing))
            if value is not missing:
                loaded[name] = value
        return loaded


@lru_cache(maxsize=2048)
def compiled(schema: Schema) -> Compiled:
    """The shorter way of a schema, made once."""
    return Compiled(schema)


def _is_plain(schema: Schema) -> bool:
    every = [*schema.load_fields.items(), *schema.dump_fields.items()]
    return (
        not any(schema._hooks.values())
        and not schema.many
        and not schema.partial
        and schema.unknown in (RAISE, EXCLUDE)
        and schema.dict_class is dict
        and all(getattr(type(schema), method) is getattr(Schema, method) for method in _METHODS)
        and not any(field.attribute or "." in name for name, field in every)
    )


def _loader(field: Field[Any]) -> Load:
    """What `field.deserialize` makes of a value; odd values are left to the schema."""
    make = READERS.get(type(field))
    read = make(field) if make is not None and not field.pre_load and not field.post_load else None
    if read is None:
        return field.deserialize
    required, may_be_none, default, validators = field.required, field.allow_none, field.load_default, field.validators

    def load(value: Any) -> Any:
        if value is missing:
            if required:
                raise _ODD
            return default() if callable(default) else default
        if value is None:
            if may_be_none:
                return None
            raise _ODD
        loaded = read(value)
        for validator in validators:
            validator(loaded)
        return loaded

    return load


def as_is(*kinds: type) -> Callable[[Field[Any]], Load]:
    """Makes readers of fields whose values are taken as they are, if they are exactly of one of these types."""

    def read(value: Any) -> Any:
        if type(value) not in kinds:
            raise _ODD
        return value

    return lambda _field: read


def _read_nested(field: Any) -> Load | None:
    if field.many or field.unknown is not None:
        return None
    return lambda value: compiled(field.schema).load_nested(value)


def _read_list(field: Any) -> Load:
    load = _loader(field.inner)

    def read(value: Any) -> Any:
        if type(value) is not list:
            raise _ODD
        return [load(each) for each in value]

    return read


#: By exact type of field, what makes its reader. None of them for a field means that it reads for itself.
READERS: dict[type, Callable[[Any], Load | None]] = {
    fields.String: as_is(str),
    fields.Boolean: lambda field: None if (field.truthy, field.falsy) != _BOOLEANS else as_is(bool)(field),
    fields.Nested: _read_nested,
    fields.List: _read_list,
}


def _write_plain(plain: type, field: Any, value: Any) -> Any:
    return value if type(value) is plain else field._serialize(value, None, None)


def _writer(field: Any) -> Load:
    """What `field` makes of a value that is there."""
    kind = type(field)
    for plain, usual in _PLAIN:
        if isinstance(field, usual) and kind._serialize is usual._serialize and not getattr(field, "as_string", False):
            return partial(_write_plain, plain, field)
    if kind is fields.Nested and not field.many:
        return lambda value: None if value is None else compiled(field.schema).dump(value)
    if kind is fields.List:
        write = _writer(field.inner)
        return lambda value: None if value is None else [write(each) for each in value]
    return lambda value: field._serialize(value, None, None)


def _key(name: str, field: Field[Any]) -> str:
    return name if field.data_key is None else field.data_key


def _value(data: Mapping[str, Any], name: str, default: Any) -> Any:
    return data.get(name, default)
