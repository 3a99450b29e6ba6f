"""The application: a thin WSGI layer over the services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, current_app, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from chassis.sealing import Sealer
from gateway import openapi, problems
from gateway.admission import Gate
from gateway.edge import ROUTE, Edge
from gateway.identities import IdentityCache
from gateway.routes import BLUEPRINTS
from gateway.screening import LARGEST_BODY, screen
from gateway.settings import Settings
from gateway.web import LONGEST_ID, Backend, Id, Rpc, authenticate, set_backend

_HARDENING = tuple(
    (name.lower(), name, value)
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    )
)


class _Synchronous(Flask):
    """Flask, which looks at each function for each request whether it is a coroutine. None is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(settings: Settings, rpc: Rpc, identities: IdentityCache) -> Flask:
    """Build the application.

    Args:
        settings: how it runs.
        rpc: calls the services; shared by all threads.
        identities: the credentials that are known; tell it how it hears of revocations (`gateway.wsgi` does).
    """
    app = _Synchronous(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_BODY + 1, PROPAGATE_EXCEPTIONS=False)
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = Id
    set_backend(
        app,
        Backend(
            settings, rpc, identities,
            passwords=Sealer(settings.accounts_sealing_public_key),
            claim_codes=Sealer(settings.credits_sealing_public_key),
        ),
    )  # fmt: skip
    api = openapi.document(app)
    api.register_converter(Id, lambda _converter: {"type": "string", "maxLength": LONGEST_ID})
    problems.register(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    app.before_request(_check)
    app.after_request(_harden)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]  # Flask's way
    gate = Gate(app.wsgi_app, settings.threads, settings.waiting)
    app.wsgi_app = Edge(gate)  # type: ignore[method-assign]  # Flask's way to wrap an application
    return app


def _check() -> None:
    """What every request goes through before its route: nothing is called for one that is refused here."""
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule
    g.body = screen(request)
    if request.endpoint is None:
        return
    if not getattr(current_app.view_functions[request.endpoint], "open_to_all", False):
        authenticate()


def _harden(response: Response) -> Response:
    headers = response.headers
    present = {name.lower() for name, _ in headers}
    for lower, name, value in _HARDENING:
        if lower not in present:
            headers.add(name, value)
    if "cache-control" not in present and ("credential" in g or request.method == "POST"):
        headers.add("Cache-Control", "no-store")
    return response
