"""Calls to other services: one client a process, shared by all its threads or greenlets.

A request is transient and unconfirmed, since its deadline covers it: the broker drops it when nobody waits any longer,
and the caller stops waiting at the same moment. A late reply is dropped. Replies come by RabbitMQ's direct reply-to
(no queue to declare or to lose); over the in-memory bus, by a queue of the client's own.
"""

from __future__ import annotations

import itertools
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from kombu import entity
from marshmallow import Schema, ValidationError

from chassis import context
from chassis.compiled import compiled
from chassis.messaging.inmemory import Unroutable
from chassis.messaging.link import Link, Listener, is_memory
from chassis.messaging.topology import PROBES, RPC_EXCHANGE
from chassis.observability.metrics import Sample
from chassis.rpc import wire
from chassis.rpc.breaker import Breaker
from chassis.rpc.waiting import Gate, Gates
from kernel.errors import Refusal, unavailable
from kernel.ids import new_id

_log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 5.0
_DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"
#: A call that had less time than this tells nothing of the service when it is not answered.
_TELLING_S = 1.0
#: What a call is settled with when its service has no queue.
_NOBODY = b"nobody"


class _Pending:
    """A call that waits for its reply."""

    __slots__ = ("answered", "body", "call_id", "lost")

    def __init__(self, call_id: str, answered: Gate) -> None:
        self.call_id = call_id
        self.answered = answered
        self.body: bytes | str | None = None
        self.lost = False

    def settle(self, body: bytes | str | None) -> None:
        self.body = body
        self.lost = body is None
        self.answered.open()


class RpcClient:
    """A thread-safe client of every service on the bus.

    Args:
        uri: the bus.
        name: who calls, for logs.
        clock: of the circuit breakers.
    """

    def __init__(self, uri: str, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._in_memory = is_memory(uri)
        self._reply_to = new_id("reply") if self._in_memory else _DIRECT_REPLY_TO
        self._pending: dict[str, _Pending] = {}
        self._gates = Gates()
        self._numbers = itertools.count(1)
        self._prefix = new_id("call")
        self._listener = Listener(uri, f"rpc client of {name}", self._set_up, self._lost)
        self._starting = threading.Lock()
        self._started = False
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    @property
    def connected(self) -> bool:
        """Whether requests can be sent at the moment."""
        return self._listener.connected

    def start(self) -> None:
        """Connect in the background; the first call does so too."""
        with self._starting:
            if not self._started:
                self._started = True
                self._listener.start()

    def stop(self) -> None:
        """Close the connection. Calls that still wait are answered `unavailable`."""
        self._listener.stop()

    def circuits(self) -> dict[str, bool]:
        """The services that were called, and whether each is taken for dead: calls to such a one fail at once."""
        return {service: breaker.open for service, breaker in list(self._breakers.items()) if service != PROBES}

    def call(
        self,
        service: str,
        method: str,
        data: dict[str, Any] | None = None,
        *,
        reply: Schema | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Any:
        """Ask a service and wait for its answer.

        The identity and the correlation id of the request at hand go along; so does what is left of its deadline.

        Args:
            service, method: whom and what.
            data: the keyword arguments, JSON values.
            reply: what is read of the answer; None gives the answer as it came.
            timeout_s: how long to wait, in seconds; less if the request at hand has less left.

        Raises:
            Refusal: the service's own; `unavailable` if it did not answer in time (it may still have acted: every
                call that changes something carries an idempotency key, so asking again is safe), or at once if it has
                not answered for some calls in a row.
            RuntimeError: a transaction is open: no call may wait while rows are locked.
        """
        if context.transaction_open.get():
            raise RuntimeError(f"{service}.{method} was called inside a database transaction")
        breaker = self._breakers.get(service) or self._breaker(service)
        if breaker.open:
            _let_through(breaker, service, method)
        request = context.current()
        left = request.seconds_left() if request else None
        patience_s = timeout_s if left is None else min(timeout_s, left)
        deadline = time.monotonic() + patience_s
        body = wire.write_request(data or {})
        while True:
            pending = self._send(service, method, body, request, deadline)
            if not pending.answered.wait(deadline):
                self._pending.pop(pending.call_id, None)
                if patience_s >= _TELLING_S:
                    breaker.unanswered()
                raise _no_answer(service, method)
            if not pending.lost:
                break
            # the connection broke while we waited: ask again (calls are idempotent) for as long as there is time
        if pending.body is _NOBODY:
            breaker.unanswered()
            raise _no_answer(service, method)
        breaker.answered()
        result = wire.read_reply(pending.body or b"")
        return result if reply is None else _read(reply, result, service, method)

    def _send(
        self, service: str, method: str, body: str, request: context.RequestContext | None, deadline: float
    ) -> _Pending:
        while True:
            link = self._link(service, method, deadline)
            call_id = f"{self._prefix}-{next(self._numbers)}"
            pending = self._pending[call_id] = _Pending(call_id, self._gates.new())
            timeout_ms = max(1, int((deadline - time.monotonic()) * 1000))
            headers = {
                wire.TIMEOUT_HEADER: timeout_ms,
                wire.REPLY_EXCHANGE_HEADER: "",
                wire.CORRELATION_HEADER: request.correlation_id if request else context.correlation_id(),
            }
            if request and request.identity_token:
                headers[wire.IDENTITY_HEADER] = request.identity_token
            try:
                link.publish(
                    body,
                    exchange=RPC_EXCHANGE,
                    routing_key=f"{service}.{method}",
                    headers=headers,
                    persistent=False,
                    mandatory=True,
                    correlation_id=call_id,
                    reply_to=self._reply_to,
                    expiration=str(timeout_ms),
                )
            except Unroutable:
                self._settle(call_id, _NOBODY)
                return pending
            except Exception as error:  # the connection broke under us; the listener makes a new one
                self._pending.pop(call_id, None)
                _log.info("could not send %s.%s: %s", service, method, type(error).__name__)
                if time.monotonic() + 0.05 >= deadline:
                    raise _no_answer(service, method) from error
                time.sleep(0.05)
            else:
                return pending

    def _breaker(self, service: str) -> Breaker:
        if service == PROBES:  # whether services are well must be asked of those that do not answer most of all
            return self._breakers.setdefault(service, Breaker(self._clock, failures=sys.maxsize))

        def changed(is_open: bool) -> None:
            if is_open:
                _log.warning("%s does not answer: calls to it fail at once, but for one now and then", service)
            else:
                _log.info("%s answers again", service)

        return self._breakers.setdefault(service, Breaker(self._clock, changed))

    def _link(self, service: str, method: str, deadline: float) -> Link:
        if not self._started:
            self.start()
        link = self._listener.link
        if link is None:
            self._listener.wait_ready(max(0.0, deadline - time.monotonic()))
            link = self._listener.link
        if link is None or link.blocked:  # a request would wait in the socket, maybe for longer than anybody waits
            raise _no_answer(service, method)
        return link

    def _set_up(self, link: Link) -> None:
        # the broker closes the channel of whoever publishes to what does not exist: a caller may be there first
        entity.Exchange(RPC_EXCHANGE, type="topic", durable=True)(link.channel).declare()
        if self._in_memory:
            queue = entity.Queue(self._reply_to, durable=False, exclusive=True, auto_delete=True)
            link.consume(queue, self._on_reply, no_ack=True)
        else:
            link.channel.events["basic_return"].add(self._on_return)
            link.consume(_DIRECT_REPLY_TO, self._on_reply, no_ack=True)

    def _on_reply(self, message: Any) -> None:
        self._settle(message.properties.get("correlation_id"), message.body)

    def _on_return(self, _error: Any, _exchange: str, _routing_key: str, message: Any) -> None:
        # mandatory: there is no such queue, so nobody will ever answer
        self._settle(message.properties.get("correlation_id"), _NOBODY)

    def _settle(self, call_id: str | None, body: bytes | str) -> None:
        pending = self._pending.pop(call_id or "", None)
        if pending is not None:
            pending.settle(body)

    def _lost(self) -> None:
        while self._pending:
            _, pending = self._pending.popitem()
            pending.settle(None)


def circuit_samples(caller: str, client: RpcClient) -> Iterator[Sample]:
    """What the metrics of `caller` show of its circuit breakers."""
    for target, is_open in client.circuits().items():
        yield "punchcard_circuit_open", (caller, target), is_open


def _let_through(breaker: Breaker, service: str, method: str) -> None:
    wait_s = breaker.refusal_s()
    if wait_s is not None:
        _log.info("%s.%s was not called", service, method)
        refusal = unavailable()
        refusal.extra["retry_after_s"] = max(1, math.ceil(wait_s))
        raise refusal


def _no_answer(service: str, method: str) -> Refusal:
    _log.warning("no answer from %s.%s", service, method)
    return unavailable()


def _read(schema: Schema, result: Any, service: str, method: str) -> Any:
    try:
        return compiled(schema).load(result)
    except ValidationError as error:
        _log.error("%s.%s answered with a malformed reply: %s", service, method, sorted(map(str, error.messages)))
        raise wire.internal_error() from error
