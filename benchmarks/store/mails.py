"""A mail server of our own, in this process, so that the 201 and the mail are timed by one clock.

It shares the machine with the store, so it does as little as a mail server can: one thread a connection, commands read
from a buffer, and no parsing of mails beyond the lines that say which order a mail belongs to and of what kind it is.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import defaultdict

from benchmarks.children import BenchmarkError

_HOST = "127.0.0.1"
# In the first, plain part. The store writes ASCII as it is; anything else would be counted as "no order".
_ORDER = re.compile(rb"^Order number: ([!-~]+)\r$", re.MULTILINE)
_CODE = b"\r\nClaim code:"
_EHLO = b"250-sink.localhost\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
_OK = b"250 OK\r\n"
_REPLIES = {b"HELO": _OK, b"EHLO": _EHLO, b"MAIL": _OK, b"RCPT": _OK, b"RSET": _OK, b"NOOP": _OK,
            b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}  # fmt: skip
_END = b"\r\n.\r\n"
#: What every order of a support credit card must bring, each once.
KINDS = ("card", "receipt")


class MailSink:
    """Takes every mail and remembers when it came. Between `start` and `stop` it listens at `url`."""

    def __init__(self) -> None:
        self._listening = socket.create_server((_HOST, 0))
        self.url = f"smtp://{_HOST}:{self._listening.getsockname()[1]}"
        self._arrivals: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._arrived = threading.Condition()

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Listen no longer."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def wait(self, order_number: str, kind: str, deadline: float) -> float:
        """When the mail of an order came (`time.monotonic()`), waiting for it if need be.

        Raises:
            BenchmarkError: it was not there at the deadline.
        """
        key = order_number, kind
        with self._arrived:
            if not self._arrived.wait_for(lambda: key in self._arrivals, max(0.0, deadline - time.monotonic())):
                raise BenchmarkError(f"the {kind} mail of order {order_number} did not come in time")
            return self._arrivals[key][0]

    def check(self, order_numbers: set[str]) -> None:
        """Every order has brought each of its mails once, and nothing else has come.

        Raises:
            BenchmarkError: naming the first orders of which that is not so.
        """
        expected = {(number, kind): 1 for number in order_numbers for kind in KINDS}
        found = {key: len(times) for key, times in self._arrivals.items()}
        wrong = [
            f"{found.get(key, 0)} {key[1]} mails for {key[0]}"
            for key in sorted(expected.keys() | found.keys())
            if found.get(key, 0) != expected.get(key, 0)
        ]
        if wrong:
            raise BenchmarkError(f"{len(wrong)} counts of mails are wrong: {'; '.join(wrong[:10])}")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # stopped
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"220 sink.localhost\r\n")
            heard = bytearray()
            while received := connection.recv(65536):
                heard += received
                said = self._answers(connection, heard)
                if said:
                    connection.sendall(said)
                if said.endswith(_REPLIES[b"QUIT"]):
                    return

    def _answers(self, connection: socket.socket, heard: bytearray) -> bytes:
        """The replies to all commands that are there; takes them from `heard`."""
        said = b""
        while (end := heard.find(b"\r\n")) >= 0:
            command = bytes(heard[:4]).upper()
            del heard[: end + 2]
            said += _REPLIES.get(command, b"502 what?\r\n")
            if command == b"DATA":
                connection.sendall(said)
                said = self._take(connection, heard)
        return said

    def _take(self, connection: socket.socket, heard: bytearray) -> bytes:
        while (end := heard.find(_END)) < 0:
            received = connection.recv(65536)
            if not received:
                return b""  # cut off: no mail
            heard += received
        now = time.monotonic()
        content = bytes(heard[:end])
        del heard[: end + len(_END)]
        order = _ORDER.search(content)
        key = order[1].decode() if order else "no order", "card" if _CODE in content else "receipt"
        with self._arrived:
            self._arrivals[key].append(now)
            self._arrived.notify_all()
        return _OK
