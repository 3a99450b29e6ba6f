"""A payment provider that can be made to misbehave: stands before the real one and passes on what it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

_PASSED = ("Authorization", "Idempotency-Key", "Content-Type")
#: Longer than anybody waits who has been told to be impatient.
_HANG_S = 8.0
_GARBAGE = (b"", b"<html>We are sorry</html>", b'{"id": "ch_1", "status": "succ', b'{"items": "none"}', b"null")


def _at_once() -> None:
    """No delay."""


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nobody needs a line for each request."""


@dataclass
class Bank:
    """What it does to requests.

    Args:
        target: the real provider's address.
        fault: None; ``lost``: done, and never answered; ``down``: 500, nothing done; ``garbage``: done, and answered
            with nonsense; ``busy``: 429 with Retry-After, nothing done.
        retry_after_s: what ``busy`` says.
        before_charge, after_charge: called when a charge has come, and when it is done and about to be answered.
        seen: each request: when, method, path, the fault it met.
    """

    target: str
    fault: str | None = None
    retry_after_s: int = 1
    before_charge: Callable[[], object] = _at_once
    after_charge: Callable[[], object] = _at_once
    url: str = ""
    seen: list[tuple[float, str, str, str | None]] = field(default_factory=list)

    def behave(self) -> None:
        """Like the real one, from now on."""
        self.fault = None
        self.before_charge = self.after_charge = _at_once

    def met(self, fault: str) -> int:
        """How many requests met that fault."""
        return sum(entry[3] == fault for entry in self.seen)

    def answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        fault = self.fault
        self.seen.append((time.monotonic(), request.method, request.path, fault))
        return self._answer(request, fault)(environ, start_response)

    def _answer(self, request: Request, fault: str | None) -> Response:
        if fault == "down":
            return Response("oops", 500)
        if fault == "busy":
            return Response("slower", 429, {"Retry-After": str(self.retry_after_s)})
        is_charge = (request.method, request.path) == ("POST", "/charges")
        if is_charge:
            self.before_charge()
        passed = self._pass(request)
        if is_charge:
            self.after_charge()
        if fault == "lost":
            time.sleep(_HANG_S)
        if fault == "garbage":
            return Response(_GARBAGE[len(self.seen) % len(_GARBAGE)], passed.status_code)
        return Response(passed.content, passed.status_code, content_type=passed.headers["Content-Type"])

    def _pass(self, request: Request) -> requests.Response:
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        url = f"{self.target}{request.path}"
        return requests.request(
            request.method, url, params=request.args.to_dict(), data=request.get_data(), headers=headers, timeout=60
        )


@contextmanager
def bank_before(target: str) -> Iterator[Bank]:
    """Such a provider, listening."""
    bank = Bank(target)
    server = make_server("127.0.0.1", 0, bank.answer, threaded=True, request_handler=_Quiet)
    bank.url = f"http://127.0.0.1:{server.port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield bank
    finally:
        server.shutdown()
        server.server_close()
