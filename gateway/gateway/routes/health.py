"""Alive, and ready."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from flask import Response, current_app

from chassis.rpc.wire import NOT_READY
from gateway import outputs
from gateway.problems import problem
from gateway.services import SERVICES
from gateway.web import Backend, Blueprint, PassedThrough, answer, backend, open_to_all
from kernel.errors import Refusal

routes = Blueprint("Health", __name__, description="For whoever runs it.")

#: Seconds that an answer is repeated: the route is open, and each round asks every service.
_FRESH_S = 1.0
_REPLY = PassedThrough()
_WELL, _SILENT = "ok", "no answer"


class Probe:
    """Asks every service at once whether it is well; one round at a time.

    Args:
        backend: reaches the services.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._until = 0.0

    def states(self) -> dict[str, str]:
        """``ok`` for each service that is well; what it says is wrong; ``no answer``."""
        with self._lock:
            if time.monotonic() >= self._until:
                with ThreadPoolExecutor(len(SERVICES), "probe") as pool:
                    asked = {
                        service: pool.submit(contextvars.copy_context().run, self._ask, service) for service in SERVICES
                    }
                    self._known = {service: future.result() for service, future in asked.items()}
                self._until = time.monotonic() + _FRESH_S
            return self._known

    def _ask(self, service: str) -> str:
        try:
            self._backend.rpc.call(
                "health", service, {}, reply=_REPLY, timeout_s=self._backend.settings.health_timeout_s
            )
        except Refusal as refusal:
            return refusal.detail if refusal.code == NOT_READY else _SILENT
        return _WELL


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
    """Whether the bus and every service answer and are well. 503 names those that are not, and why."""
    probe = cast(Probe, current_app.extensions.setdefault("punchcard.probe", Probe(backend())))
    states = probe.states()
    wrong = {service: state for service, state in states.items() if state != _WELL}
    if not wrong:
        return answer({"status": "ready", "services": states})
    silent = [service for service, state in wrong.items() if state == _SILENT]
    said = [f"{service}: {state}." for service, state in wrong.items() if state != _SILENT]
    if silent:
        said.insert(0, f"No answer from {', '.join(silent)}.")
    refused = problem(
        503, "not_ready", " ".join(said),
        extra={"bus": _SILENT if len(silent) == len(states) else _WELL, "services": states},
    )  # fmt: skip
    refused.headers["Retry-After"] = "2"
    return refused
