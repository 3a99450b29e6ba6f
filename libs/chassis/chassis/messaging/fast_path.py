"""The short way of messages through an open py-amqp connection.

kombu and py-amqp open the connection, declare, consume, beat and close. Once that is done, almost every frame is a
publish, an ack, a delivery or a confirm; those go between the socket and `chassis.messaging.frames` directly. Every
other frame, and every message that came in pieces, is handed to py-amqp as if it had read it itself.

Only for plain TCP: TLS and the in-memory bus go the whole way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any

from amqp.exceptions import UnexpectedFrame
from amqp.transport import TCPTransport

from chassis.messaging import frames
from chassis.messaging.socket_io import SocketIO, socket_io


def fast_path(connection: Any) -> FastPath | None:
    """The short way of an open kombu connection; None where there is none."""
    if isinstance(getattr(connection.connection, "transport", None), TCPTransport):
        return FastPath(connection.connection)
    return None


class FastPath:
    """Reads and writes for the channels of one connection, which are known by their numbers.

    Args:
        connection: py-amqp's, open.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._io: SocketIO = socket_io(self._transport.sock)
        self._transport._write = self._io.write
        self._consumers: dict[tuple[int, bytes], Callable[[Any], None]] = {}

    def consume(self, channel: int, tag: str, call: Callable[[Any], None]) -> None:
        """Have `call` called with each delivery to a consumer that is set up."""
        self._consumers[channel, tag.encode()] = call

    def publish(
        self,
        channel: int,
        body: bytes | str,
        exchange: str,
        routing_key: str,
        mandatory: bool,
        headers: Mapping[str, Any],
        properties: Mapping[str, Any],
        acks: int | None = None,
    ) -> None:
        """Write one message, and right after it the ack of the message with the delivery tag `acks`."""
        content = body.encode() if isinstance(body, str) else body
        packed = frames.publish(
            channel, self._connection.frame_max, exchange, routing_key, mandatory, content, headers, properties
        )
        self._write(packed if acks is None else packed + frames.ack(channel, acks, False))

    def ack(self, channel: int, delivery_tag: int, multiple: bool = False) -> None:
        """Write one ack, for one message or for all up to it."""
        self._write(frames.ack(channel, delivery_tag, multiple))

    def drain(self, seconds: float) -> None:
        """Read until something has come that is not only a heartbeat, and deal with all that is complete.

        Raises:
            TimeoutError: nothing came within `seconds`.
        """
        transport, io = self._transport, self._io
        while not self._deal():
            data = io.receive(seconds)
            self._connection.bytes_recv += 1  # a sign of life, as py-amqp counts it
            kept = transport._read_buffer
            transport._read_buffer = kept + data if kept else data

    def pause(self) -> None:
        """Somebody else may read now."""
        self._io.pause()

    def _write(self, data: bytes) -> None:
        if self._connection.channels is None:
            raise ConnectionResetError("the link is closed")
        self._io.write(data)
        self._connection.bytes_sent += 1

    def _deal(self) -> bool:
        """Deal with every complete frame that was read; whether one of them mattered."""
        buffer: bytes = self._transport._read_buffer
        at, length, found = 0, len(buffer), False
        while at + frames.OVERHEAD <= length:
            kind, number, size = _FRAME(buffer, at)
            start = at + _HEAD
            stop = start + size
            if stop >= length:
                break
            if buffer[stop] != frames.END:
                raise UnexpectedFrame("a frame does not end where it should")
            if kind == frames.METHOD:
                end = self._method(number, buffer, start, stop, length)
                if end == _INCOMPLETE:
                    break
                if end != _NOT_MINE:
                    at, found = end, True
                    continue
            # what follows may read by itself, so it must find the rest where py-amqp keeps it
            self._transport._read_buffer = buffer[stop + 1 :]
            self._io.pause()
            if self._connection.on_inbound_frame((kind, number, buffer[start:stop])):
                found = True
            if self._connection.channels is None:
                raise ConnectionResetError("the broker closed the connection")
            buffer = self._transport._read_buffer
            at, length = 0, len(buffer)
        self._transport._read_buffer = buffer[at:]
        return found

    def _method(self, channel: int, buffer: bytes, start: int, stop: int, length: int) -> int:
        """Deal with a method frame.

        Args:
            channel: its number.
            buffer, length: what was read.
            start, stop: of the frame's payload.

        Returns:
            Where the next frame starts; or that this one is not complete yet, or that it is for py-amqp.
        """
        method = buffer[start : start + 4]
        if method == frames.DELIVER:
            call = self._consumers.get((channel, buffer[start + 5 : start + 5 + buffer[start + 4]]))
            return _NOT_MINE if call is None else self._deliver(call, channel, buffer, start, stop, length)
        if method == frames.ACKED:
            tag, multiple = frames.read_ack(buffer[start:stop])
            for confirmed in self._connection.channels[channel].events["basic_ack"]:
                confirmed(tag, multiple)
            return stop + 1
        return _NOT_MINE

    def _deliver(
        self, call: Callable[[Any], None], channel: int, buffer: bytes, start: int, stop: int, length: int
    ) -> int:
        header, header_stop = _payload((frames.HEADER, channel), buffer, stop + 1, length)
        if header < 0:
            return header
        (size,) = _BODY_SIZE(buffer, header + 4)
        body = b""
        end = header_stop
        if size:
            if size > self._connection.frame_max - frames.OVERHEAD:
                return _NOT_MINE  # it comes in several frames
            body_start, end = _payload((frames.BODY, channel), buffer, header_stop + 1, length)
            if body_start < 0:
                return body_start
            body = buffer[body_start:end]
        message = frames.read_delivery(buffer[start:stop], buffer[header:header_stop], body)
        if message is None or len(body) != size:
            return _NOT_MINE
        call(message)
        return end + 1


def _payload(wanted: tuple[int, int], buffer: bytes, at: int, length: int) -> tuple[int, int]:
    """Where the payload of the frame at `at` starts and stops, if it is of that kind and channel and complete."""
    start = at + _HEAD
    if start > length:
        return _INCOMPLETE, 0
    kind, number, size = _FRAME(buffer, at)
    if (kind, number) != wanted:
        return _NOT_MINE, 0
    stop: int = start + size
    if stop >= length:
        return _INCOMPLETE, 0
    if buffer[stop] != frames.END:
        raise UnexpectedFrame("a frame does not end where it should")
    return start, stop


_FRAME = frames.FRAME.unpack_from
_BODY_SIZE = Struct(">Q").unpack_from
_HEAD = frames.OVERHEAD - 1
_INCOMPLETE, _NOT_MINE = -1, -2
