"""Fewer system calls on py-amqp's socket; they are most of what a small message costs.

py-amqp reads a message in about ten pieces (three frames, each as header, payload and end) and writes each publish and
each acknowledgement by itself. Reading ahead and writing what one turn of the event loop produced in one go leaves the
protocol as it is. Only for plain TCP: TLS has buffers of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from amqp.transport import TCPTransport

_READ_AHEAD = 32 * 1024
#: Bytes that may wait for the socket before writers have to wait as well.
_WRITE_BEHIND = 256 * 1024
#: Writes less than this apart come from several calls at once, and more will follow in the same turn.
_CLOSE_TOGETHER_S = 0.0003


def tune(connection: Any) -> CoalescedWrites | None:
    """Tune an open kombu connection over AMQP; leaves others alone.

    Returns:
        Its writes, if they are coalesced: under eventlet. Real threads send at once.
    """
    transport = getattr(connection.connection, "transport", None)
    if not isinstance(transport, TCPTransport):
        return None
    receive = transport.sock.recv
    # py-amqp keeps what was read too much for the next frame
    transport._quick_recv = lambda size: receive(max(size, _READ_AHEAD))
    eventlet = _patched_eventlet()
    if eventlet is None:
        return None
    writes = CoalescedWrites(transport.sock.sendall, eventlet.spawn_n)
    transport._write = writes.write
    return writes


class CoalescedWrites:
    """Sends a lone write at once, and writes that come close together in one go.

    Args:
        send_all: writes to the socket; may give way to other greenlets.
        spawn: runs something in the next turn of the event loop.
    """

    def __init__(self, send_all: Callable[[bytes | memoryview], Any], spawn: Callable[..., Any]) -> None:
        self._send_all = send_all
        self._spawn = spawn
        self._waiting = bytearray()
        self._scheduled = False
        self._last_write = 0.0
        self._last_together = 0.0
        self._broken: OSError | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes, or have them sent before the next turn of the event loop.

        Raises:
            OSError: the socket broke, at this write or at an earlier one.
        """
        while len(self._waiting) > _WRITE_BEHIND and self._broken is None:
            time.sleep(0.001)  # the broker does not read: wait, and give way
        if self._broken is not None:
            raise self._broken
        now = time.monotonic()
        alone = now - self._last_write > _CLOSE_TOGETHER_S
        self._last_write = now
        if alone and not self._scheduled:
            self._send_all(data)
            return
        self._waiting += data
        if not self._scheduled:
            self._scheduled = True
            self._spawn(self._send)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written in the block leaves in one go."""
        if self._scheduled:  # it will anyway
            yield
            return
        self._scheduled = True
        try:
            yield
        finally:
            if time.monotonic() - self._last_together > _CLOSE_TOGETHER_S:
                self._send()
            else:
                self._spawn(self._send)
            self._last_together = time.monotonic()

    def _send(self) -> None:
        try:
            while self._waiting:
                data, self._waiting = bytes(self._waiting), bytearray()
                self._send_all(data)
        except OSError as error:
            self._broken = error  # the reader of the socket sees it too, and makes a new connection
        finally:
            self._scheduled = False


def _patched_eventlet() -> Any:
    """eventlet, if this process runs on it. Not imported: the gateway must do without."""
    patcher = sys.modules.get("eventlet.patcher")
    return sys.modules["eventlet"] if patcher is not None and patcher.is_monkey_patched("socket") else None
