"""The gateway as a process of its own: ``gunicorn -c python:gateway.gunicorn_conf``."""

from __future__ import annotations

from typing import Any

from flask import Flask

from chassis import failpoints
from chassis.messaging.broadcast import Broadcast
from chassis.observability import metrics
from chassis.rpc import RpcClient, circuit_samples
from chassis.settings import Environment
from gateway.app import create_app
from gateway.identities import REVOKED_EVENT, CredentialRevoked, IdentityCache
from gateway.settings import read

_STOPS = "punchcard.stops"


def listen(identities: IdentityCache, amqp_uri: str) -> Broadcast:
    """Make the cache hear of every revocation, whichever process handled it. Start what is returned."""
    broadcast = Broadcast(
        amqp_uri,
        REVOKED_EVENT,
        CredentialRevoked(),
        on_event=lambda data: identities.revoke(data["credential_digest"]),
        on_gap=identities.clear,
    )
    identities.trust_while(lambda: broadcast.connected)
    return broadcast


def application() -> Flask:
    """Build the application with connections of its own. Called in the worker, after the fork."""
    environment = Environment()
    settings = read(environment)
    rpc = RpcClient(settings.amqp_uri, "gateway")
    identities = IdentityCache(settings.identity_lifetime_s, clock=failpoints.clock(environment))
    broadcast = listen(identities, settings.amqp_uri)
    app = create_app(settings, rpc, identities)
    metrics.sample("gateway", lambda: circuit_samples("gateway", rpc))
    served = metrics.serve(Environment())
    rpc.start()
    broadcast.start()
    app.extensions[_STOPS] = (broadcast.stop, rpc.stop, *([served[0].shutdown] if served else []))
    return app


def stop(app: Any) -> None:
    """Close the connections of an application that `application` built; nothing to do for another one."""
    for each in getattr(app, "extensions", {}).get(_STOPS, ()):
        each()
