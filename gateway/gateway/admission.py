"""How much the gateway takes on: so many requests at once, a few more for a moment, and a 503 at once for the rest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from chassis import context
from chassis.observability import metrics
from gateway.jsontext import write_json
from gateway.problems import MEDIA_TYPE, problem_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: How long a request waits for its turn, in seconds. One that waited longer would be answered to nobody.
_PATIENCE_S = 2.0
_RETRY_AFTER_S = 1
#: Asked by whoever must know how a gateway is that has its hands full.
_EXEMPT = ("/healthz", "/readyz")


class Gate:
    """WSGI middleware in front of the application.

    A turn is handed from the request that leaves to the one that has waited longest. What is refused has had no effect
    and has cost no call.

    Args:
        application: what answers.
        at_once: how many requests it works on at the same time.
        waiting: how many more wait for their turn.
        patience_s: how long they wait, in seconds.
    """

    def __init__(
        self, application: WSGIApplication, at_once: int, waiting: int, patience_s: float = _PATIENCE_S
    ) -> None:
        self._application = application
        self._at_once = at_once
        self._places = waiting
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._busy = 0
        self._queue: deque[threading.Lock] = deque()
        metrics.sample("gateway.gate", self._samples)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in _EXEMPT:
            return self._application(environ, start_response)
        if not self._enter():
            return _refuse(start_response)
        try:
            return self._application(environ, start_response)
        finally:
            self._leave()

    def _enter(self) -> bool:
        with self._lock:
            if self._busy < self._at_once:
                self._busy += 1
                return True
            if len(self._queue) >= self._places:
                return False
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        if turn.acquire(timeout=self._patience_s):
            return True
        with self._lock:
            if turn not in self._queue:
                return True  # it came at the last moment
            self._queue.remove(turn)
            return False

    def _leave(self) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._busy -= 1

    def _samples(self) -> Iterator[metrics.Sample]:
        yield "punchcard_http_in_progress", (), self._busy
        yield "punchcard_http_waiting", (), len(self._queue)


def _refuse(start_response: StartResponse) -> Iterable[bytes]:
    metrics.HTTP_REFUSED.inc()
    detail = "More is asked of the store than it can answer at the moment. Nothing was done; try again."
    body = write_json(problem_body(503, "over_capacity", detail, context.correlation_id())).encode()
    headers = [
        ("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Retry-After", str(_RETRY_AFTER_S)),
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
    ]  # fmt: skip
    start_response("503 SERVICE UNAVAILABLE", headers)
    return [body]
