"""The few AMQP frames that every message needs, as bytes and back: publish and ack out, deliver in.

py-amqp's encoder and decoder are general and cost more than the rest of a small message. What is here does the same
for `basic.publish`, `basic.ack` and `basic.deliver` and nothing else; `tests/test_frames.py` holds it against py-amqp's
own. Pure functions: who reads and writes is `chassis.messaging.fast_path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from amqp.serialization import dumps, loads

#: Bytes of a frame around its payload: type, channel, size before it, the end mark after it.
OVERHEAD = 8
END = 0xCE
METHOD, HEADER, BODY = 1, 2, 3
#: Class and method of what is understood here.
DELIVER = b"\x00\x3c\x00\x3c"
ACKED = b"\x00\x3c\x00\x50"

FRAME = Struct(">BHI")
_LONG_LONG = Struct(">Q").unpack_from
_BIT_AND_LONG_LONG = Struct(">Q?").unpack_from
_ACK = Struct(">BHIHHQ?B").pack
_CONTENT_HEADER = Struct(">BHIHHQH").pack
_FRAME = FRAME.pack
_SIZE = Struct(">I")
_TEXT = Struct(">cI").pack
_NUMBER = Struct(">ci").pack
_FLAGS_AT = 12

#: Short strings after the headers, by flag, in the order in which they stand. Between the first of them and the headers
#: stand delivery mode and priority, of an octet each; a timestamp stands before the last four.
_LEADING = ((0x8000, "content_type"), (0x4000, "content_encoding"))
_MIDDLE = ((0x0400, "correlation_id"), (0x0200, "reply_to"), (0x0100, "expiration"), (0x0080, "message_id"))
_TRAILING = ((0x0020, "type"), (0x0010, "user_id"), (0x0008, "app_id"), (0x0004, "cluster_id"))
_HEADERS, _DELIVERY_MODE, _PRIORITY, _TIMESTAMP = 0x2000, 0x1000, 0x0800, 0x0040
_ANY_TRAILING = 0x003C
_CONTINUED = 0x0001

#: An integer that py-amqp writes with four bytes.
_MOST_INT = 2**31 - 1


class Delivery:
    """A message as it was delivered: of kombu's message those attributes that the chassis reads.

    Args:
        arguments: the payload of the method frame.
        properties: by name, without the headers.
        table: the headers as they came; read when somebody asks.
        body: as it came.
    """

    __slots__ = ("_arguments", "_headers", "_table", "body", "delivery_tag", "properties")

    def __init__(
        self, arguments: bytes, delivery_tag: int, properties: dict[str, Any], table: bytes | None, body: bytes
    ) -> None:
        self._arguments = arguments
        self.delivery_tag = delivery_tag
        self.properties = properties
        self._table = table
        self._headers: dict[str, Any] | None = None
        self.body = body

    @property
    def content_type(self) -> str | None:
        """What the sender says it is."""
        found: str | None = self.properties.get("content_type")
        return found

    @property
    def headers(self) -> dict[str, Any]:
        """The sender's headers."""
        if self._headers is None:
            try:
                self._headers = {} if self._table is None else read_table(self._table)
            except Exception:
                # such as a time that no calendar has; without its properties it is a message like any other malformed
                self._headers = {}
                self.properties = {}
        return self._headers

    @property
    def routing_key(self) -> str:
        """With which key it was published."""
        arguments = self._arguments
        at = 14 + arguments[4]  # behind consumer tag, delivery tag and the octet of bits
        at += 1 + arguments[at]  # and the exchange
        return _text(arguments[at + 1 : at + 1 + arguments[at]])

    @property
    def delivery_info(self) -> dict[str, Any]:
        """How it came, as kombu words it."""
        arguments = self._arguments
        at = 5 + arguments[4]
        exchange = at + 9
        return {
            "consumer_tag": _text(arguments[5:at]),
            "delivery_tag": self.delivery_tag,
            "redelivered": bool(arguments[at + 8] & 1),
            "exchange": _text(arguments[exchange + 1 : exchange + 1 + arguments[exchange]]),
            "routing_key": self.routing_key,
        }


def read_delivery(arguments: bytes, header: bytes, body: bytes) -> Delivery | None:
    """A message from the payloads of its three frames; None if it holds what is not understood here."""
    (flags,) = _SHORT(header, _FLAGS_AT)
    if flags & _CONTINUED:
        return None
    properties: dict[str, Any] = {}
    at = _read_texts(header, _FLAGS_AT + 2, flags, _LEADING, properties)
    table = None
    if flags & _HEADERS:
        end = at + 4 + _SIZE.unpack_from(header, at)[0]
        table = header[at:end]
        at = end
    if flags & _DELIVERY_MODE:
        properties["delivery_mode"] = header[at]
        at += 1
    if flags & _PRIORITY:
        properties["priority"] = header[at]
        at += 1
    at = _read_texts(header, at, flags, _MIDDLE, properties)
    if flags & _TIMESTAMP:
        (properties["timestamp"],) = _LONG_LONG(header, at)
        at += 8
    if flags & _ANY_TRAILING:
        _read_texts(header, at, flags, _TRAILING, properties)
    (tag,) = _LONG_LONG(arguments, 5 + arguments[4])
    return Delivery(arguments, tag, properties, table, body)


def _read_texts(
    header: bytes, at: int, flags: int, wanted: tuple[tuple[int, str], ...], properties: dict[str, Any]
) -> int:
    for flag, name in wanted:
        if flags & flag:
            end = at + 1 + header[at]
            properties[name] = _text(header[at + 1 : end])
            at = end
    return at


def read_table(table: bytes) -> dict[str, Any]:
    """Headers; texts and numbers here, and by py-amqp as soon as there is anything else."""
    found: dict[str, Any] = {}
    at, end = 4, len(table)
    while at < end:
        key = at + 1 + table[at]
        name = _text(table[at + 1 : key])
        kind = table[key]
        if kind == 0x53:  # S: text
            at = key + 5 + _SIZE.unpack_from(table, key + 1)[0]
            try:
                found[name] = table[key + 5 : at].decode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                found[name] = table[key + 5 : at]  # as py-amqp does
        elif kind == 0x49:  # I: an integer of four bytes
            at = key + 5
            (found[name],) = _INT(table, key + 1)
        else:
            values, _ = loads("F", table, 0)
            everything: dict[str, Any] = values[0]
            return everything
    return found


def read_ack(arguments: bytes) -> tuple[int, bool]:
    """The delivery tag of a confirm, and whether it stands for all before it as well."""
    tag, multiple = _BIT_AND_LONG_LONG(arguments, 4)
    return tag, multiple


def ack(channel: int, delivery_tag: int, multiple: bool) -> bytes:
    """The frame that acknowledges one message, or all of the channel up to it."""
    return _ACK(METHOD, channel, 13, 60, 80, delivery_tag, multiple, END)


def publish(
    channel: int,
    frame_max: int,
    exchange: str,
    routing_key: str,
    mandatory: bool,
    body: bytes,
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
) -> bytes:
    """All frames of one message.

    Args:
        channel: its number.
        frame_max: bytes that a frame may have.
        exchange, routing_key, mandatory: where to, and whether having no queue is an error.
        body: as it is sent.
        headers: of the sender.
        properties: others, by py-amqp's names; those with short strings up to `message_id`, and the delivery mode.

    Raises:
        ValueError: a text of a property is longer than AMQP allows.
    """
    flags = _HEADERS
    parts: list[bytes] = []
    for flag, name in _LEADING:
        text = properties.get(name)
        if text is not None:
            flags |= flag
            parts.append(_short(text))
    parts.append(write_table(headers))
    mode = properties.get("delivery_mode")
    if mode is not None:
        flags |= _DELIVERY_MODE
        parts.append(_octet(mode))
    for flag, name in _MIDDLE:
        text = properties.get(name)
        if text is not None:
            flags |= flag
            parts.append(_short_once(text))
    packed = b"".join(parts)
    size = len(body)
    frames = [
        _publish_method(channel, exchange, routing_key, mandatory),
        _CONTENT_HEADER(HEADER, channel, 14 + len(packed), 60, 0, size, flags),
        packed,
    ]
    room = frame_max - OVERHEAD
    if 0 < size <= room:
        frames += (b"\xce", _FRAME(BODY, channel, size), body, b"\xce")
    else:
        frames.append(b"\xce")
        for start in range(0, size, room):
            piece = body[start : start + room]
            frames += (_FRAME(BODY, channel, len(piece)), piece, b"\xce")
    return b"".join(frames)


def write_table(headers: Mapping[str, Any]) -> bytes:
    """Headers as py-amqp writes them; anything but texts and numbers is left to it."""
    parts: list[bytes] = []
    for name, value in headers.items():
        kind = type(value)
        if kind is str:
            raw = value.encode("utf-8", "surrogatepass")
            parts += (_short(name), _TEXT(b"S", len(raw)), raw)
        elif kind is int and -_MOST_INT <= value <= _MOST_INT:
            parts += (_short(name), _NUMBER(b"I", value))
        else:
            everything: bytes = dumps("F", [dict(headers)])
            return everything
    packed = b"".join(parts)
    return _SIZE.pack(len(packed)) + packed


_SHORT = Struct(">H").unpack_from
_INT = Struct(">i").unpack_from
_octet = [bytes((number,)) for number in range(256)].__getitem__


@lru_cache(maxsize=1024)
def _publish_method(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    payload = b"\x00\x3c\x00\x28\x00\x00" + _short(exchange) + _short(routing_key) + _octet(1 if mandatory else 0)
    return _FRAME(METHOD, channel, len(payload)) + payload + b"\xce"


def _short_once(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > 255:
        raise ValueError("a short string of AMQP has 255 bytes at most")
    return _octet(len(raw)) + raw


#: For texts that come again and again.
_short = lru_cache(maxsize=1024)(_short_once)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        # py-amqp would end the connection over it, and the message would come again, for ever
        return raw.decode("utf-8", "replace")
