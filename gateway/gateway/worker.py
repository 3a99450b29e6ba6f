"""gunicorn's thread worker, with the two things it lacks: it cuts slow clients, and answers problems as we do."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from gateway.jsontext import write_json
from gateway.problems import MEDIA_TYPE, problem_body
from kernel.ids import new_id

_log = logging.getLogger(__name__)

#: Seconds that a request may keep a thread, from its first byte to the last byte of the answer.
LONGEST_S = 30.0

_REFUSALS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (errors.LimitRequestLine, 414, "uri_too_long", "The address is too long."),
    (errors.LimitRequestHeaders, 431, "headers_too_large", "The headers are too many or too large."),
    (errors.ParseException, 400, "bad_request", "The request is not HTTP as it should be."),
)


class Worker(ThreadWorker):
    """Threads, without the chance for slow clients to hold them all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._busy: dict[Any, float] = {}
        self._busy_lock = threading.Lock()

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection, and remember since when."""
        with self._busy_lock:
            self._busy[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            with self._busy_lock:
                del self._busy[conn]

    def murder_keepalived(self, *args: Any, **kwargs: Any) -> None:
        """The main loop calls this every second for idle connections; slow ones go along."""
        super().murder_keepalived(*args, **kwargs)
        latest = time.monotonic() - LONGEST_S
        with self._busy_lock:
            for conn, since in self._busy.items():
                if since < latest:
                    _cut(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what never became a request, or broke in the middle. Nothing of it is repeated or logged."""
        fitting = (refusal[1:] for refusal in _REFUSALS if isinstance(exc, refusal[0]))
        status, code, detail = next(fitting, (500, "internal_error", "Something went wrong here."))
        correlation_id = new_id("cor")
        _log.warning(
            "not a request: %s", type(exc).__name__, extra={"status": status, "correlation_id": correlation_id}
        )
        try:
            util.write_nonblock(client, _written(status, code, detail, correlation_id))
        except OSError:
            _log.debug("the client is gone")


def _written(status: int, code: str, detail: str, correlation_id: str) -> bytes:
    body = write_json(problem_body(status, code, detail, correlation_id)).encode()
    head = (
        f"HTTP/1.1 {status} {code.replace('_', ' ')}\r\nConnection: close\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nX-Correlation-Id: {correlation_id}\r\n\r\n"
    )
    return head.encode() + body


def _cut(conn: Any) -> None:
    try:
        conn.sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        _log.debug("the client is gone")
