"""Few system calls on the socket of a link; they are most of what a small message costs.

Reading takes all that is there, and under eventlet the socket stays registered with the event loop from one read to the
next. Writing under eventlet sends a lone message at once, and collects what else this turn of the event loop produces
to send it in one go. Real threads send at once, one after the other.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any, Protocol

from chassis.green import current_greenlet, green_hub

_READ_AHEAD = 64 * 1024
#: Bytes that may wait for the socket before writers have to wait as well.
_WRITE_BEHIND = 256 * 1024
#: A write this soon after another one belongs to a batch, of which more will come.
_CLOSE_TOGETHER_S = 0.0002


class SocketIO(Protocol):
    """How one socket is read (by one reader) and written (by anybody)."""

    def receive(self, seconds: float) -> bytes:
        """What has come, as soon as something has.

        Raises:
            TimeoutError: nothing within `seconds`.
            OSError: the socket broke, or the broker closed it.
        """

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes, all of them before those of the next call.

        Raises:
            OSError: the socket broke, at this write or at an earlier one.
        """

    def pause(self) -> None:
        """The reader does not read for a while: somebody else may."""


def socket_io(sock: Any) -> SocketIO:
    """What suits this process."""
    hub = green_hub()
    return ThreadIO(sock) if hub is None else GreenIO(sock, hub)


class ThreadIO:
    """For processes of real threads.

    Args:
        sock: connected.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._writing = threading.Lock()
        self._broken: OSError | None = None

    def receive(self, seconds: float) -> bytes:
        sock = self._sock
        if sock.gettimeout() != seconds:
            sock.settimeout(seconds)
        return _something(sock.recv(_READ_AHEAD))

    def write(self, data: bytes | memoryview) -> None:
        with self._writing:
            if self._broken is not None:
                raise self._broken
            try:
                self._sock.sendall(data)
            except OSError as error:
                # part of it may be on its way, and what came next would be read as the rest: the link is of no use
                self._broken = error
                with contextlib.suppress(OSError):
                    self._sock.shutdown(2)
                raise

    def pause(self) -> None:
        pass


class GreenIO:
    """For processes on eventlet.

    Args:
        sock: eventlet's, connected.
        hub: the event loop.
    """

    def __init__(self, sock: Any, hub: Any) -> None:
        self._sock = sock
        self._raw = sock.fd
        self._hub = hub
        # reading
        self._listener: Any = None
        self._reader: Any = None
        self._deadline = 0.0
        self._rings_at: float | None = None
        self._drained = False
        # writing
        self._waiting: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._last_write = 0.0
        self._broken: OSError | None = None

    # -- reading ----------------------------------------------------------------------------------------------------

    def receive(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while True:
            if not self._drained:
                try:
                    data = self._raw.recv(_READ_AHEAD)
                except (BlockingIOError, InterruptedError):
                    pass
                else:
                    # less than there was room for: all of it, so the next read would be in vain
                    self._drained = len(data) < _READ_AHEAD
                    return _something(data)
            if not self._wait(deadline):
                raise TimeoutError("timed out")
            self._drained = False

    def _wait(self, deadline: float) -> bool:
        """Until the socket can be read; False at the deadline."""
        hub = self._hub
        if self._listener is None:
            self._listener = hub.add(hub.READ, self._raw.fileno(), self._readable, self._closed, None)
        self._deadline = deadline
        if self._rings_at is None or deadline < self._rings_at:
            self._ring_at(deadline)
        self._reader = current_greenlet()
        try:
            return bool(hub.switch())
        finally:
            self._reader = None

    def _readable(self, _fileno: int) -> None:
        reader = self._reader
        if reader is None:
            self.pause()  # busy with what it has read: it will look again
        else:
            reader.switch(True)

    def _closed(self, *error: Any) -> None:
        self._listener = None
        if self._reader is not None:
            self._reader.throw(*error)

    def _ring_at(self, moment: float) -> None:
        self._rings_at = moment
        self._hub.schedule_call_global(max(0.0, moment - time.monotonic()), self._ring, moment)

    def _ring(self, moment: float) -> None:
        # one timer for many reads: most of them end long before, and a timer of their own would only be cancelled
        if moment != self._rings_at:
            return  # an earlier one was wanted since
        self._rings_at = None
        if self._reader is None:
            return
        if time.monotonic() < self._deadline:
            self._ring_at(self._deadline)
        else:
            self._reader.switch(False)

    def pause(self) -> None:
        if self._listener is not None:
            self._hub.remove(self._listener)
            self._listener = None
        self._drained = False

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        while self._size > _WRITE_BEHIND and self._broken is None:
            time.sleep(0.001)  # the broker does not read: wait, and give way
        if self._broken is not None:
            raise self._broken
        self._waiting.append(bytes(data))  # py-amqp uses its buffer again
        self._size += len(data)
        if self._scheduled:
            return
        self._scheduled = True
        if self._more_will_come():
            self._hub.schedule_call_global(0, self._send)
        else:
            self._send()

    def _more_will_come(self) -> bool:
        """Whether this greenlet has just written before, or others run in this turn of the loop and may write too."""
        hub = self._hub
        now = time.monotonic()
        before, self._last_write = self._last_write, now
        return now - before < _CLOSE_TOGETHER_S or bool(hub.next_timers) or bool(hub.timers and hub.timers[0][0] <= now)

    def _send(self) -> None:
        """Send without waiting: this may run in the event loop."""
        try:
            data = self._take()
            sent = self._raw.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._fail(error)
            return
        if sent == len(data):
            self._scheduled = False
        else:
            sys.modules["eventlet"].spawn_n(self._send_rest, data[sent:])

    def _send_rest(self, data: bytes) -> None:
        """The socket was full; meanwhile more may have come."""
        try:
            while data:
                self._sock.sendall(data)
                data = self._take()
            self._scheduled = False
        except OSError as error:
            self._fail(error)

    def _take(self) -> bytes:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return data

    def _fail(self, error: OSError) -> None:
        self._broken = error  # the reader of the socket sees it too, and makes a new connection
        self._take()


def _something(data: bytes) -> bytes:
    if not data:
        raise ConnectionResetError("the broker closed the connection")
    return data
