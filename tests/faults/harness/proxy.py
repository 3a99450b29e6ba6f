"""A TCP proxy that a test puts between a process and what it talks to, to cut, stall or delay what passes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

TO_SERVER, TO_CLIENT = "to_server", "to_client"
_CHUNK = 64 * 1024


@dataclass
class _Rule:
    """Cut a connection once it has carried so much, or something certain, in one direction."""

    direction: str
    after_bytes: int | None
    pattern: bytes
    #: Whether what fits still passes, or is lost with the connection.
    passes: bool
    times: int
    carried: int = 0
    tail: dict[int, bytes] = field(default_factory=dict)

    def fits(self, connection: int, data: bytes) -> bool:
        if self.after_bytes is not None:
            self.carried += len(data)
            return self.carried >= self.after_bytes
        seen = self.tail.get(connection, b"") + data
        self.tail[connection] = seen[-len(self.pattern) + 1 :] if len(self.pattern) > 1 else b""
        return self.pattern in seen


class _Connection:
    """One client's connection and its twin to the server."""

    def __init__(self, proxy: Proxy, number: int, client: socket.socket) -> None:
        self.proxy, self.number, self.client = proxy, number, client
        self.server = socket.create_connection(proxy.target, timeout=10)
        self.server.settimeout(None)
        self.ended = 0
        self.swallowed = False

    def start(self) -> None:
        for direction, source, sink in (
            (TO_SERVER, self.client, self.server),
            (TO_CLIENT, self.server, self.client),
        ):
            threading.Thread(target=self._carry, args=(direction, source, sink), daemon=True).start()

    def cut(self) -> None:
        """Reset both sides, as if a firewall had lost its patience."""
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                side.close()

    def _carry(self, direction: str, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                self.proxy._pass(self, direction, data, sink)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()
        finally:
            self.ended += 1
            if self.ended == 2:
                self.proxy._forget(self)


class Proxy:
    """Listens on a port of its own and passes everything on to `target`, until told otherwise.

    Args:
        host, port: of the server.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listening.getsockname()[1])
        self._connections: dict[int, _Connection] = {}
        self._numbers = 0
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._swallows = False
        self._refuses = False
        self._delay_s = 0.0
        self._rules: list[_Rule] = []
        self._stopping = False
        #: How many connections a rule has cut.
        self.cuts = 0
        self._cut_once = threading.Event()
        #: Connections taken since the start.
        self.taken = 0
        threading.Thread(target=self._accept, daemon=True, name=f"proxy-{self.port}").start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def stop(self) -> None:
        """Close everything."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._flows.set()
        self.cut()

    # -- faults -----------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Reset every connection; new ones are passed on."""
        for connection in list(self._connections.values()):
            connection.cut()

    def refuse(self) -> None:
        """The server seems gone: every connection is reset, and so is each new one at once."""
        self._refuses = True
        self.cut()

    def swallow(self, new_ones: bool = True) -> None:
        """Half-open: take what comes and pass nothing on, in either direction.

        Args:
            new_ones: whether connections that are made from now on meet the same fate.
        """
        for connection in list(self._connections.values()):
            connection.swallowed = True
        self._swallows = new_ones

    def freeze(self) -> None:
        """The network stands still: nothing is read or passed on, and nothing is lost."""
        self._flows.clear()

    def delay(self, seconds: float) -> None:
        """Hold up every piece for so long."""
        self._delay_s = seconds

    def cut_after(self, count: int, direction: str = TO_CLIENT, times: int = 1) -> None:
        """Cut whichever connection carries the `count`-th byte from now on in that direction; the piece is lost.

        Args:
            count: of bytes, over all connections.
            direction: TO_CLIENT or TO_SERVER.
            times: how many connections meet that fate, each after as many more bytes.
        """
        self._rules.append(_Rule(direction, count, b"", False, times))

    def cut_on(self, pattern: bytes, direction: str = TO_SERVER, passes: bool = True, times: int = 1) -> None:
        """Cut a connection as soon as `pattern` is seen on it.

        Args:
            pattern: what to look for; may come in pieces.
            direction: TO_CLIENT or TO_SERVER.
            passes: whether the piece that completes the pattern still arrives.
            times: how many connections meet that fate.
        """
        self._rules.append(_Rule(direction, None, pattern, passes, times))

    def heal(self) -> None:
        """Behave again. Connections whose bytes were swallowed are cut: they could make no sense any more."""
        self._swallows = self._refuses = False
        self._delay_s = 0.0
        self._rules.clear()
        self._flows.set()
        for connection in list(self._connections.values()):
            if connection.swallowed:
                connection.cut()

    def wait_cut(self, timeout_s: float = 60.0) -> None:
        """Wait until a rule has cut a connection."""
        assert self._cut_once.wait(timeout_s), "the proxy has seen nothing to cut"

    # -- what passes ------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._numbers += 1
            self.taken += 1
            self._take(client)

    def _take(self, client: socket.socket) -> None:
        try:
            if self._refuses:
                raise ConnectionRefusedError
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(self, self._numbers, client)
            connection.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # the server is gone: so are we, for this client
            with contextlib.suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        connection.swallowed = self._swallows
        with self._lock:
            self._connections[connection.number] = connection
        connection.start()

    def _pass(self, connection: _Connection, direction: str, data: bytes, sink: socket.socket) -> None:
        if self._delay_s:
            time.sleep(self._delay_s)
        self._flows.wait()
        if connection.swallowed:
            return
        rule = self._fitting(connection, direction, data)
        if rule is None or rule.passes:
            sink.sendall(data)
        if rule is not None:
            self.cuts += 1
            self._cut_once.set()
            connection.cut()

    def _fitting(self, connection: _Connection, direction: str, data: bytes) -> _Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.direction == direction and rule.fits(connection.number, data):
                    rule.times -= 1
                    rule.carried = 0
                    if rule.times == 0:
                        self._rules.remove(rule)
                    return rule
        return None

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.pop(connection.number, None)
        connection.cut()


@contextlib.contextmanager
def healed(*proxies: Proxy) -> Iterator[None]:
    """Whatever happens in the block, the proxies behave afterwards."""
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.heal()
