"""A mail server of our own, in this process, so that the 201 and the mail are timed by one clock."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller

from benchmarks.children import BenchmarkError
from chassis.local_servers import free_port

_HOST = "127.0.0.1"
_ORDER = re.compile(r"^Order number: (\S+)", re.MULTILINE)
#: What every order of a support credit card must bring, each once.
KINDS = ("card", "receipt")


class MailSink:
    """Takes every mail and remembers when it came. Between `start` and `stop` it listens at `url`."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"smtp://{_HOST}:{port}"
        self._controller = Controller(self, hostname=_HOST, port=port, server_hostname="sink.localhost")
        self._arrivals: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._arrived = threading.Condition()

    def start(self) -> None:
        """Listen."""
        self._controller.start()

    def stop(self) -> None:
        """Listen no longer."""
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        """A mail was handed over."""
        now = time.monotonic()
        body = message_from_bytes(envelope.content, policy=policy.default).get_body(("plain",))
        text = body.get_content().replace("\r\n", "\n") if body else ""
        order = _ORDER.search(text)
        kind = "card" if "Claim code:" in text else "receipt"
        with self._arrived:
            self._arrivals[order[1] if order else "no order", kind].append(now)
            self._arrived.notify_all()
        return "250 taken"

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
