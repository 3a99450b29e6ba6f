"""The shape of what travels: marshmallow schemas, event types, and the envelope of an event.

Every message is checked on the way out by its producer and on the way in by its consumer. A producer refuses unknown
fields of a request (`RequestSchema`); a consumer of events and replies passes over fields it does not know
(`TolerantSchema`), so that a producer may add one without asking.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from chassis.compiled import READERS, as_is, compiled
from kernel.clock import rfc3339
from kernel.errors import FieldError, Kind, Refusal
from kernel.money import MINOR_DIGITS


class RequestSchema(Schema):
    """What somebody asks of us: an unknown field is an error."""

    class Meta:
        unknown = RAISE


class TolerantSchema(Schema):
    """What we read of somebody else's message: a field we do not know is passed over."""

    class Meta:
        unknown = EXCLUDE


class StrictInteger(fields.Integer):
    """A JSON integer: not "3", not 3.0, not true."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class StrictBoolean(fields.Boolean):
    """A JSON true or false: not 1, not "yes"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class PlainString(fields.String):
    """One line of text: no control characters, trimmed; `max_length` characters at most (200 unless told)."""

    default_error_messages = {"control": "Control characters and line breaks are not allowed."}

    def __init__(self, *, min_length: int = 1, max_length: int = 200, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators.insert(0, validate.Length(min=min_length, max=max_length))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text.isprintable() and any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
            raise self.make_error("control")  # nor half of a surrogate pair, which no database can store
        return text.strip()


def _read_plain(field: PlainString) -> Callable[[Any], Any]:
    return lambda value: field._deserialize(value, None, None)


class Paragraphs(fields.String):
    """Text of several lines: trimmed, line ends as ``\\n``, no other control characters but tabs."""

    default_error_messages = {"control": "Control characters are not allowed."}

    def __init__(self, *, max_length: int = 10_000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._length = validate.Length(min=1, max=max_length)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs).replace("\r\n", "\n").replace("\r", "\n").strip()
        if any(unicodedata.category(each) in {"Cc", "Cs"} for each in text if each not in "\n\t"):
            raise self.make_error("control")
        return self._length(text)


READERS[StrictInteger] = as_is(int)
READERS[StrictBoolean] = as_is(bool)
READERS[PlainString] = _read_plain


class UtcDateTime(fields.AwareDateTime):
    """A moment: RFC 3339 in UTC on the wire, an aware datetime in the code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", default_timezone=UTC, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else rfc3339(value)


def _read_moment(field: UtcDateTime) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        with contextlib.suppress(TypeError, ValueError):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return moment
        return field._deserialize(value, None, None)

    return read


READERS[UtcDateTime] = _read_moment


class MoneySchema(RequestSchema):
    """``{"amount_minor": 12000, "currency": "USD"}``"""

    amount_minor = StrictInteger(required=True)
    currency = fields.String(required=True, validate=validate.OneOf(sorted(MINOR_DIGITS)))


def money(**kwargs: Any) -> fields.Nested:
    """A field that holds money as a dictionary of `MoneySchema`."""
    return fields.Nested(MoneySchema, **kwargs)


@dataclass(frozen=True)
class EventType:
    """A kind of event, declared once by its producer in its `messages.py`.

    Args:
        name: ``<service>.<noun_past_verb>.v<n>``, e.g. ``credits.card_issued.v1``.
        schema: what its `data` holds.
        example: a complete `data`, for the contract and for the tests of consumers.
        must_route: whether it is an error that nobody listens; False for broadcasts to processes that may
            be away, and for what nobody in the store needs.
    """

    name: str
    schema: Schema
    example: Mapping[str, Any] = field(repr=False)
    must_route: bool = True

    @property
    def source(self) -> str:
        """The service that emits it."""
        return self.name.split(".", 1)[0]

    @property
    def routing_key(self) -> str:
        """Its key on the exchange ``<service>.events``, as stock nameko names it."""
        return self.name.split(".", 1)[1]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it arrived.

    Args:
        id: the same for every redelivery and replay; what the inbox remembers.
        name: the event type's name.
        occurred_at: when the producer committed it, by the producer's clock.
        data: the checked payload.
        consumer: the queue it came through, which names the handler; part of the inbox key.
        attempt: 1 for the first delivery.
        correlation_id: of the request that caused it.
    """

    id: str
    name: str
    occurred_at: datetime
    data: dict[str, Any]
    consumer: str
    attempt: int = 1
    correlation_id: str = ""


#: What an event's id looks like: it becomes part of a key, so it must fit the column.
EVENT_ID = re.compile(r"[!-~]{1,64}\Z")


class EnvelopeSchema(TolerantSchema):
    """What is around the data of every event."""

    id = fields.String(required=True, validate=validate.Regexp(EVENT_ID))
    type = fields.String(required=True)
    occurred_at = UtcDateTime(required=True)
    data = fields.Dict(keys=fields.String(), required=True)


ENVELOPE = EnvelopeSchema()


def field_errors(messages: Any, path: str = "") -> list[FieldError]:
    """marshmallow's nested messages as a flat list: ``lines.0.quantity: Not a valid integer.``"""
    if isinstance(messages, Mapping):
        return [
            error
            for key, value in messages.items()
            for error in field_errors(value, path if key == "_schema" else f"{path}.{key}" if path else str(key))
        ]
    found = messages if isinstance(messages, list) else [messages]
    return [FieldError(path, str(message)) for message in found]


def load_request(schema: Schema, data: Any) -> dict[str, Any]:
    """Check what somebody asks of us.

    Raises:
        Refusal: `validation_failed`, naming every wrong field.
    """
    try:
        return compiled(schema).load(data)
    except ValidationError as error:
        raise Refusal(
            Kind.INVALID, "validation_failed", "Some fields are wrong; see errors.", field_errors(error.messages)
        ) from error


def dump_checked(schema: Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """Write what we send, and refuse to send what the schema does not allow.

    Raises:
        ValidationError: a defect of ours: the message would be malformed.
    """
    short = compiled(schema)
    dumped = short.dump(data)
    short.check(dumped)
    return dumped
