"""Whatever the broker sends, in whatever pieces it comes: each message reaches its consumer once, and in order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp import spec
from amqp.exceptions import UnexpectedFrame
from amqp.method_framing import frame_handler, frame_writer
from amqp.serialization import dumps
from hypothesis import HealthCheck, given, settings, strategies

from chassis.messaging.fast_path import FastPath

FRAME_MAX = 4096
CHANNEL = 1
OTHER = 2
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"


class Connection:
    """py-amqp's connection, as far as frames go through it."""

    def __init__(self, sock: Any) -> None:
        self.transport = SimpleNamespace(sock=sock, _read_buffer=b"")
        self.frame_max = FRAME_MAX
        self.bytes_recv = self.bytes_sent = 0
        self.channels: Any = {}
        self.slow: list[bytes] = []
        self.on_inbound_frame = frame_handler(self, self._heard)

    def _heard(self, _channel: int, method: tuple[int, int], _arguments: bytes, message: Any) -> None:
        self.slow.append(bytes(message.body) if message is not None else repr(tuple(method)).encode())


class Socket:
    """Gives what the broker sent in the pieces that the test wants."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def gettimeout(self) -> float:
        return 1.0

    def recv(self, _size: int) -> bytes:
        if not self.pieces:
            raise TimeoutError
        return self.pieces.pop(0)


def sent(
    method: tuple[int, int], arguments: bytes, message: amqp.Message | None = None, channel: int = CHANNEL
) -> bytes:
    written = bytearray()
    write = frame_writer(SimpleNamespace(frame_max=FRAME_MAX, bytes_sent=0), SimpleNamespace(write=written.extend))
    write(1, channel, method, arguments, message)
    return bytes(written)


def delivery(tag: str, number: int, body: bytes, channel: int = CHANNEL) -> bytes:
    arguments = dumps("sLbss", (tag, number, False, "nameko-rpc", "echo.echo"))
    return sent(spec.Basic.Deliver, arguments, amqp.Message(body, correlation_id=str(number)), channel)


def fast_path() -> tuple[FastPath, Connection, Socket, list[Any], list[Any]]:
    sock = Socket()
    connection = Connection(sock)
    confirms: list[Any] = []
    for number in (CHANNEL, OTHER):
        events = {"basic_ack": {lambda tag, multiple: confirms.append((tag, multiple))}}
        connection.channels[number] = SimpleNamespace(events=events)
    fast = FastPath(connection)
    heard: list[Any] = []
    for number in (CHANNEL, OTHER):
        fast.consume(number, "ours", lambda message: heard.append((message.delivery_tag, message.body)))
    return fast, connection, sock, heard, confirms


def drain(fast: FastPath) -> None:
    while True:
        try:
            fast.drain(1.0)
        except TimeoutError:
            return


kinds = strategies.sampled_from(["ours", "other", "big", "empty", "theirs", "confirm", "heartbeat", "return"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])  # however busy the machine
@given(strategies.lists(kinds, max_size=12), strategies.data())
def test_every_message_arrives_once_and_in_order(plan: list[str], data: strategies.DataObject) -> None:
    fast, connection, sock, heard, confirms = fast_path()
    stream = b""
    expected: list[Any] = []
    expected_slow: list[bytes] = []
    expected_confirms: list[Any] = []
    for number, kind in enumerate(plan):
        if kind in ("ours", "other", "empty"):
            body = b"" if kind == "empty" else b"body %d" % number
            stream += delivery("ours", number, body, OTHER if kind == "other" else CHANNEL)
            expected.append((number, body))
        elif kind in ("big", "theirs"):
            body = b"%d" % number * (5000 if kind == "big" else 1)
            stream += delivery("ours" if kind == "big" else "unknown", number, body)
            expected_slow.append(body)
        elif kind == "confirm":
            stream += sent(spec.Basic.Ack, dumps("Lb", (number, True)))
            expected_confirms.append((number, True))
        elif kind == "return":
            stream += sent(spec.Basic.Return, dumps("Bsss", (312, "NO_ROUTE", "", "x")), amqp.Message(b"back"))
            expected_slow.append(b"back")
        else:
            stream += HEARTBEAT
    cuts = sorted(data.draw(strategies.lists(strategies.integers(0, len(stream)), max_size=20)))
    sock.pieces = [
        stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < end
    ]
    drain(fast)
    assert heard == expected
    assert confirms == expected_confirms
    assert connection.slow == expected_slow
    assert connection.transport._read_buffer == b""


def test_channels_may_take_turns_within_a_message() -> None:
    fast, connection, sock, heard, _ = fast_path()
    one, two = delivery("ours", 1, b"one"), delivery("ours", 2, b"two", OTHER)
    method = 8 + int.from_bytes(one[3:7])
    sock.pieces = [one[:method] + two + one[method:], delivery("ours", 3, b"three")]
    drain(fast)
    assert heard == [(2, b"two"), (3, b"three")]
    assert connection.slow == [b"one"]


def test_what_py_amqp_has_read_already_is_not_lost() -> None:
    fast, connection, sock, heard, _ = fast_path()
    whole = delivery("ours", 1, b"one")
    connection.transport._read_buffer = whole + whole[:20]
    fast.drain(1.0)
    assert heard == [(1, b"one")]
    assert connection.transport._read_buffer == whole[:20]
    sock.pieces = [whole[20:]]
    fast.drain(1.0)
    assert heard == [(1, b"one"), (1, b"one")]


def test_a_heartbeat_alone_is_a_sign_of_life_and_nothing_more() -> None:
    fast, connection, sock, heard, _ = fast_path()
    sock.pieces = [HEARTBEAT]
    with pytest.raises(TimeoutError):
        fast.drain(1.0)
    assert heard == []
    assert connection.bytes_recv > 0


def test_a_stream_out_of_step_is_noticed() -> None:
    fast, _, sock, heard, _ = fast_path()
    sock.pieces = [delivery("ours", 1, b"one")[:-1] + b"\x00"]
    with pytest.raises(UnexpectedFrame):
        fast.drain(1.0)
    assert heard == []


def test_nobody_writes_to_a_closed_link() -> None:
    fast, connection, *_ = fast_path()
    connection.channels = None
    with pytest.raises(OSError, match="closed"):
        fast.ack(CHANNEL, 1)
