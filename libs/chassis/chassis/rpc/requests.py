"""Requests: what is checked before a worker sees one, and what is answered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from marshmallow import Schema

from chassis.context import RequestContext
from chassis.identity import Identity, IdentityVerifier
from chassis.messages import dump_checked, load_request
from chassis.messaging.incoming import Arrived
from chassis.rpc import wire
from kernel.errors import Kind, Refusal

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request.

    Args:
        data: what the request schema loaded.
        identity: who asks, as verified; None for an anonymous call.
        deadline: `time.monotonic()` seconds after which nobody waits.
    """

    data: dict[str, Any]
    identity: Identity | None
    deadline: float | None

    @property
    def caller(self) -> Identity:
        """Who asks; for entrypoints that need somebody."""
        assert self.identity is not None, "the entrypoint is anonymous"
        return self.identity


class Method(Protocol):
    """What is known of a method that others may call: its schemas, whether it needs an identity, and what a restricted
    API key must be made for.
    """

    method_name: str
    request: Schema
    reply: Schema
    anonymous: bool
    scope: str | None


class RequestDesk:
    """Checks the requests to one service and words the answers.

    Args:
        service: the service's name.
        methods: by name; filled by the entrypoints.
        verifier: checks who asks.
    """

    def __init__(self, service: str, methods: Mapping[str, Method], verifier: IdentityVerifier) -> None:
        self._service = service
        self._methods = methods
        self._verifier = verifier

    def check(self, routing_key: str, arrived: Arrived, request: RequestContext) -> tuple[Method, Call]:
        """The method that is asked for, and the checked request.

        Raises:
            Refusal: there is no such method, it is no request, nobody asks, an API key was not made for this, or
                fields are wrong.
        """
        service, _, name = routing_key.partition(".")
        method = self._methods.get(name)
        if method is None or service != self._service:
            raise Refusal(Kind.INVALID, "method_not_found", f"{service} has no method {name!r}.")
        try:
            if arrived.content_type != "application/json":
                raise wire.BadMessage("send JSON")
            data = wire.read_request(arrived.body)
        except wire.BadMessage as error:
            raise Refusal(Kind.INVALID, "malformed_request", f"Not a request: {error}.") from error
        identity = None
        if not method.anonymous or request.identity_token:
            identity = self._verifier.verify(request.identity_token)
            if not method.anonymous:
                identity.require_scope(method.scope)
        return method, Call(load_request(method.request, data), identity, request.deadline)

    def answer(self, method: Method, request: RequestContext, result: Any, exc_info: Any) -> str:
        """The reply to a request that a worker has finished.

        Args:
            method: which.
            request: its context.
            result: what the worker returned.
            exc_info: what it raised, if it did.
        """
        if exc_info is None:
            try:
                return wire.write_result(dump_checked(method.reply, result))
            except Exception as error:  # an answer that cannot be written must not end the process
                _log.error("%s.%s gave a malformed reply: %s", self._service, method.method_name, type(error).__name__)
                return self.refuse(wire.internal_error(), request)
        raised = exc_info[1]
        if isinstance(raised, Refusal):
            return self.refuse(raised, request)
        _log.error("%s.%s failed", self._service, method.method_name, exc_info=exc_info)
        return self.refuse(wire.internal_error(), request)

    def refuse(self, refusal: Refusal, request: RequestContext) -> str:
        """The reply that carries a refusal."""
        return wire.write_refusal(refusal, request.correlation_id)
