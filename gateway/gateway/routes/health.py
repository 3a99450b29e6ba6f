"""Alive, and ready."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from flask import Response, current_app

from gateway import outputs
from gateway.problems import problem
from gateway.web import Backend, Blueprint, PassedThrough, answer, backend, open_to_all
from kernel.errors import Refusal

routes = Blueprint("Health", __name__, description="For whoever runs it.")

SERVICES = ("accounts", "catalog", "cart", "payments", "credits", "notifications")
#: Seconds that an answer is repeated: the route is open, and each round asks every service.
_FRESH_S = 1.0
_REPLY = PassedThrough()


class Probe:
    """Asks every service at once whether it is well; one round at a time.

    Args:
        backend: reaches the services.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._known: dict[str, bool] = {}
        self._until = 0.0

    def well(self) -> dict[str, bool]:
        """Whether each service answers."""
        with self._lock:
            if time.monotonic() >= self._until:
                with ThreadPoolExecutor(len(SERVICES), "probe") as pool:
                    asked = {
                        service: pool.submit(contextvars.copy_context().run, self._ask, service) for service in SERVICES
                    }
                    self._known = {service: future.result() for service, future in asked.items()}
                self._until = time.monotonic() + _FRESH_S
            return self._known

    def _ask(self, service: str) -> bool:
        try:
            self._backend.rpc.call(
                "health", service, {}, reply=_REPLY, timeout_s=self._backend.settings.health_timeout_s
            )
        except Refusal:
            return False
        return True


@routes.route("/healthz", methods=["GET"])
@open_to_all
@routes.response(200, outputs.Alive)
def healthz() -> Response:
    """Whether this process answers. Asks nobody."""
    return answer({"status": "ok"})


@routes.route("/readyz", methods=["GET"])
@open_to_all
@routes.response(200, outputs.Readiness)
@routes.alt_response(503, "SERVICE_UNAVAILABLE")
def readyz() -> Response:
    """Whether the bus and every service answer. 503 names those that do not."""
    probe = cast(Probe, current_app.extensions.setdefault("punchcard.probe", Probe(backend())))
    well = probe.well()
    shown = {service: "ok" if fine else "no answer" for service, fine in well.items()}
    if all(well.values()):
        return answer({"status": "ready", "services": shown})
    silent = [service for service, fine in well.items() if not fine]
    refused = problem(
        503, "not_ready", f"No answer from {', '.join(silent)}.",
        extra={"bus": "ok" if any(well.values()) else "no answer", "services": shown},
    )  # fmt: skip
    refused.headers["Retry-After"] = "2"
    return refused
