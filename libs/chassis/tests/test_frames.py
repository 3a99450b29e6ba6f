"""Our frames against py-amqp's own: what we write is what it writes, and what it writes is what we read."""

from __future__ import annotations

from datetime import UTC, datetime
from struct import unpack_from
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp import spec
from amqp.method_framing import frame_handler, frame_writer
from amqp.serialization import dumps, loads
from hypothesis import HealthCheck, given, settings, strategies

from chassis.messaging import frames

FRAME_MAX = 4096
CHANNEL = 3

#: However busy the machine is.
unhurried = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

short_texts = strategies.text(max_size=60)
table_texts = strategies.text(max_size=300)
numbers = strategies.integers(-(2**63), 2**63 - 1)
plain_headers = strategies.dictionaries(short_texts, table_texts | numbers, max_size=6)
rich_values = (
    table_texts
    | numbers
    | strategies.none()
    | strategies.booleans()
    | strategies.floats(allow_nan=False)
    | strategies.lists(table_texts, max_size=3)
    | strategies.dictionaries(short_texts, numbers, max_size=3)
    | strategies.just(datetime(2026, 11, 24, tzinfo=UTC))
)
bodies = strategies.binary(max_size=300) | strategies.sampled_from([b"x" * size for size in (4088, 4089, 9000)])
SENT = ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id")
sent_properties = strategies.fixed_dictionaries(
    {"delivery_mode": strategies.sampled_from([1, 2])}, optional=dict.fromkeys(SENT, short_texts)
)
all_properties = strategies.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((*SENT, "type", "user_id", "app_id", "cluster_id"), short_texts),
        "delivery_mode": strategies.sampled_from([1, 2]),
        "priority": strategies.integers(0, 255),
        "application_headers": strategies.dictionaries(short_texts, rich_values, max_size=5),
    },
)


def written_by_amqp(method: tuple[int, int], arguments: bytes, message: amqp.Message | None) -> bytes:
    written = bytearray()
    connection = SimpleNamespace(frame_max=FRAME_MAX, bytes_sent=0)
    write = frame_writer(connection, SimpleNamespace(write=written.extend))
    write(1, CHANNEL, method, arguments, message)
    return bytes(written)


def payloads(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        kind, _, size = unpack_from(">BHI", data)
        assert data[7 + size] == frames.END
        found.append((kind, data[7 : 7 + size]))
        data = data[8 + size :]
    return found


def read_by_amqp(data: bytes) -> tuple[bytes, amqp.Message]:
    heard: list[Any] = []
    handle = frame_handler(
        SimpleNamespace(bytes_recv=0), lambda _channel, method, arguments, message: heard.append((arguments, message))
    )
    for kind, payload in payloads(data):
        # it takes contents of deliveries only, and a publish has the same
        handle((kind, CHANNEL, b"\x00\x3c\x00\x3c" + payload[4:] if kind == 1 else payload))
    ((arguments, message),) = heard
    return arguments, message


@unhurried
@given(short_texts, short_texts, strategies.booleans(), bodies, plain_headers, sent_properties)
def test_a_publish_is_what_py_amqp_would_write(
    exchange: str, key: str, mandatory: bool, body: bytes, headers: dict[str, Any], properties: dict[str, Any]
) -> None:
    ours = frames.publish(CHANNEL, FRAME_MAX, exchange, key, mandatory, body, headers, properties)
    arguments = dumps("Bssbb", (0, exchange, key, mandatory, False))
    theirs = written_by_amqp(
        spec.Basic.Publish, arguments, amqp.Message(body, application_headers=headers, **properties)
    )
    assert [payload for kind, payload in payloads(ours) if kind != 3] == [
        payload for kind, payload in payloads(theirs) if kind != 3
    ]
    assert (read_by_amqp(ours)[1].body or b"") == body  # py-amqp says "" where there is none
    assert all(len(payload) + 8 <= FRAME_MAX for _, payload in payloads(ours))


@unhurried
@given(strategies.dictionaries(short_texts, rich_values, max_size=5))
def test_headers_of_any_kind_are_written_as_py_amqp_writes_them(headers: dict[str, Any]) -> None:
    assert frames.write_table(headers) == dumps("F", [headers])


@unhurried
@given(short_texts, numbers.filter(lambda number: number >= 0), strategies.booleans(), short_texts, short_texts,
       strategies.binary(max_size=300), all_properties)  # fmt: skip
def test_a_delivery_is_read_as_py_amqp_reads_it(
    tag: str, number: int, again: bool, exchange: str, key: str, body: bytes, properties: dict[str, Any]
) -> None:
    arguments = dumps("sLbss", (tag, number, again, exchange, key))
    data = written_by_amqp(spec.Basic.Deliver, arguments, amqp.Message(body, **properties))
    parts = payloads(data)
    ours = frames.read_delivery(parts[0][1], parts[1][1], body)
    theirs = read_by_amqp(data)[1].properties
    assert ours is not None
    assert ours.headers == (theirs.pop("application_headers", None) or {})
    assert ours.properties == theirs
    assert ours.content_type == theirs.get("content_type")
    assert (ours.body, ours.delivery_tag, ours.routing_key) == (body, number, key)
    names = ("consumer_tag", "delivery_tag", "redelivered", "exchange", "routing_key")
    assert ours.delivery_info == dict(zip(names, loads("sLbss", arguments, 0)[0], strict=True))


@unhurried
@given(numbers.filter(lambda number: number >= 0), strategies.booleans())
def test_an_ack_is_what_py_amqp_would_write(tag: int, multiple: bool) -> None:
    assert frames.ack(CHANNEL, tag, multiple) == written_by_amqp(spec.Basic.Ack, dumps("Lb", (tag, multiple)), None)


@unhurried
@given(numbers.filter(lambda number: number >= 0), strategies.booleans())
def test_a_confirm_is_read_as_py_amqp_reads_it(tag: int, multiple: bool) -> None:
    ((_, payload),) = payloads(written_by_amqp(spec.Basic.Ack, dumps("Lb", (tag, multiple)), None))
    assert frames.read_ack(payload) == (tag, multiple)


@unhurried
@given(strategies.binary(max_size=60))
def test_a_text_that_is_no_text_ends_nothing(correlation_id: bytes) -> None:
    header = bytes.fromhex("003c0000") + bytes(8) + b"\x04\x00" + bytes((len(correlation_id),)) + correlation_id
    message = frames.read_delivery(b"\x00\x3c\x00\x3c\x00" + bytes(11), header, b"")
    assert message is not None
    assert isinstance(message.properties["correlation_id"], str)


@pytest.mark.parametrize("table", [b"\x01tT" + b"\xff" * 8, b"\x01t?", b"\x09t"])
def test_headers_that_cannot_be_read_leave_a_message_without_properties(table: bytes) -> None:
    header = bytes.fromhex("003c0000") + bytes(8) + b"\x22\x00" + len(table).to_bytes(4) + table + b"\x02me"
    message = frames.read_delivery(b"\x00\x3c\x00\x3c\x00" + bytes(11), header, b"")
    assert message is not None
    assert (message.headers, message.properties) == ({}, {})


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        frames.publish(CHANNEL, FRAME_MAX, "", "key", False, b"", {}, {"correlation_id": "x" * 256})
    with pytest.raises(ValueError, match="255 bytes"):
        frames.publish(CHANNEL, FRAME_MAX, "", "k" * 256, False, b"", {}, {})
