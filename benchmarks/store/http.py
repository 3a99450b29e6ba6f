"""A client of HTTP/1.1 for one kept connection, with as little work a request as can be: it shares the machine."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

from benchmarks.children import BenchmarkError

_TIMEOUT_S = 30


class Connection:
    """Asks for JSON, one request at a time.

    Args:
        base_url: ``http://host:port``.
    """

    def __init__(self, base_url: str) -> None:
        url = urlsplit(base_url)
        assert url.hostname is not None
        assert url.port is not None
        self._address = url.hostname, url.port
        self._socket: socket.socket | None = None
        #: Sent with every request: complete lines.
        self.headers = b""

    def ask(self, method: str, path: str, body: bytes = b"", headers: bytes = b"") -> tuple[int, Any]:
        """Status and JSON of the answer.

        Args:
            method, path: what is asked for.
            body: JSON.
            headers: complete lines, for this request only.

        Raises:
            BenchmarkError: the answer is not HTTP, or ends too early.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._address[0]}\r\n".encode() + self.headers + headers
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        status, answer = self._exchange(head + b"\r\n" + body)
        return status, json.loads(answer)

    def _exchange(self, request: bytes) -> tuple[int, bytes]:
        fresh = self._socket is None
        connection = self._connected()
        connection.sendall(request)
        head, rest = self._head(connection)
        if not head:
            if fresh:
                raise BenchmarkError("no answer")
            self._socket = None  # the server had closed it before it heard us: it closes idle connections
            connection.close()
            return self._exchange(request)
        status_line, *lines = head.split(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        length = int(fields[b"content-length"])
        while len(rest) < length:
            received = connection.recv(65536)
            if not received:
                raise BenchmarkError("the answer ends too early")
            rest += received
        if fields.get(b"connection") == b"close":
            self._socket = None
            connection.close()
        return int(status_line.split(b" ", 2)[1]), rest

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, _TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    @staticmethod
    def _head(connection: socket.socket) -> tuple[bytes, bytes]:
        heard = b""
        while b"\r\n\r\n" not in heard:
            try:
                received = connection.recv(65536)
            except ConnectionResetError:
                received = b""
            if not received:
                if heard:
                    raise BenchmarkError("the answer ends too early")
                return b"", b""
            heard += received
        head, _, rest = heard.partition(b"\r\n\r\n")
        return head, rest
