"""The outermost layer: every request gets a correlation id, a deadline, and one line in the log."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from chassis import context
from chassis.observability import metrics
from gateway.screening import holds_card_number
from kernel.ids import new_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger("gateway.access")

CORRELATION_HEADER = "X-Correlation-Id"
#: Where the application leaves the route's template for the log: the path itself may hold what no log may.
ROUTE = "punchcard.route"
#: Seconds after which nobody waits for an answer; the worker cuts the connection a little later.
DEADLINE_S = 25.0

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Edge:
    """WSGI middleware around the whole application.

    Args:
        application: what answers.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        correlation_id = _correlation_id(environ.get("HTTP_X_CORRELATION_ID", ""))
        started = time.monotonic()
        statuses = ["500"]

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses.append(status)
            return start_response(status, [*headers, (CORRELATION_HEADER, correlation_id)], exc_info)

        with context.entered(context.RequestContext(correlation_id, deadline=started + DEADLINE_S)):
            try:
                return self._application(environ, start)
            finally:
                method, route, status = _method(environ), environ.get(ROUTE, "unmatched"), int(statuses[-1][:3])
                duration_s = time.monotonic() - started
                metrics.HTTP_REQUEST_S.labels(method, route, status).observe(duration_s)
                _log.info(
                    "request",
                    extra={
                        "method": method,
                        "route": route,
                        "status": status,
                        "duration_ms": round(duration_s * 1000, 1),
                    },
                )


def _correlation_id(offered: str) -> str:
    if _SANE.fullmatch(offered) and not holds_card_number(offered):
        return offered
    return new_id("cor")


def _method(environ: WSGIEnvironment) -> str:
    method = str(environ.get("REQUEST_METHOD", ""))
    return method if method in _METHODS else "other"
