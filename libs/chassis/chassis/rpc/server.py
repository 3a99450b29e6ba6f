"""The service's side of the bus: one link per service, requests and events come in, replies go out.

It takes the place of nameko's QueueConsumer, RpcConsumer and Responder (docs/adr/0001). A message is checked before a
worker is spawned for it, so that no message can kill the process; it is acknowledged after the worker is done; and on
a stop no new ones are taken while the link stays open until the last worker has acknowledged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import eventlet
from kombu import entity, messaging
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import SharedExtension

from chassis.context import RequestContext, entered
from chassis.messages import dump_checked, load_request
from chassis.messaging.failures import FailureDesk
from chassis.messaging.incoming import Arrived, Malformed, read_event
from chassis.messaging.link import Link, Listener, is_memory
from chassis.messaging.topology import (
    RPC_EXCHANGE,
    Subscription,
    dead_letter_queue,
    declare_retries,
    declare_service,
    rpc_queue,
)
from chassis.rpc import wire
from kernel.errors import Refusal
from kernel.ids import new_id

if TYPE_CHECKING:
    from chassis.service import Consume, Rpc, Runtime

_log = logging.getLogger(__name__)

#: Requests that one process works on at a time; more wait in the queue, where another process may take them.
RPC_PREFETCH = 16
#: Events of one kind that one process works on at a time.
EVENT_PREFETCH = 8
#: How long a stop waits for workers to finish.
DRAIN_TIMEOUT_S = 25.0


class BusServer(SharedExtension):
    """One per service container; the entrypoints register with it."""

    def __init__(self) -> None:
        super().__init__()
        self.methods: dict[str, Rpc] = {}
        self.handlers: dict[str, tuple[Subscription, Consume]] = {}
        self._tags: list[str] = []
        self._in_flight = 0
        self._listener: Listener | None = None
        self._runtime: Runtime | None = None
        self._desk: FailureDesk | None = None
        self._stopping = False

    @property
    def _service(self) -> str:
        return str(self.container.service_name)

    def attach(self, runtime: Runtime) -> None:
        """Told by the `Provided` dependency what this process works with."""
        self._runtime = runtime

    def start(self) -> None:
        runtime = self._runtime
        if runtime is None:
            raise RuntimeError(f"{self._service} has no Provided(bootstrap)")
        self._desk = FailureDesk(runtime.database, runtime.relay.publish, runtime.retry_delays_s)
        self._listener = Listener(runtime.broker_uri, self._service, self._set_up)
        self._listener.start()
        if not self._listener.wait_ready(30):
            _log.warning("%s still waits for the bus", self._service)

    def pause(self) -> None:
        """Take no new messages (the first thing a stop does)."""
        if self._stopping:
            return
        self._stopping = True
        link = self._listener.link if self._listener else None
        if link is not None:
            for tag in self._tags:
                try:
                    link.cancel(tag)
                except Exception as error:
                    _log.info("could not cancel %s: %s", tag, type(error).__name__)

    def stop(self) -> None:
        """Close the link once every worker has acknowledged, or after `DRAIN_TIMEOUT_S`."""
        self.pause()
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while self._in_flight and time.monotonic() < deadline:
            eventlet.sleep(0.02)
        if self._listener is not None:
            self._listener.stop()

    def kill(self) -> None:
        if self._listener is not None:
            self._listener.stop()

    # -- setting up -------------------------------------------------------------------------------------------------

    def _set_up(self, link: Link) -> None:
        runtime = self._runtime
        assert runtime is not None
        queue_type = runtime.queue_type
        declare_service(link.channel, self._service, [wanted for wanted, _ in self.handlers.values()], queue_type)
        declare_retries(link.channel, runtime.retry_delays_s, queue_type)
        self._tags = []
        self._consume(link, rpc_queue(self._service), RPC_PREFETCH, self._on_request)
        for queue, (wanted, handler) in self.handlers.items():
            self._consume(link, queue, EVENT_PREFETCH, partial(self._on_event, wanted, handler))
        if not is_memory(runtime.broker_uri):
            self._consume(link, dead_letter_queue(self._service), 1, self._on_dropped)

    def _consume(self, link: Link, queue: str, prefetch: int, call: Callable[[Link, Any], None]) -> None:
        consumer = messaging.Consumer(
            link.channel,
            [entity.Queue(queue, no_declare=True)],
            on_message=partial(self._received, link, call),
            auto_declare=False,
            prefetch_count=prefetch,
            tag_prefix=f"{queue}-",
        )
        consumer.consume()
        self._tags.extend(consumer._active_tags.values())

    def _received(self, link: Link, call: Callable[[Link, Any], None], message: Any) -> None:
        if self._stopping:
            return  # unacknowledged: the broker gives it to another process when the link closes
        try:
            call(link, message)
        except Exception:
            # a message must never be able to end the process; unacknowledged, it comes back when the link is re-made
            _log.exception("could not take a message of %s", message.delivery_info.get("routing_key"))

    # -- requests ---------------------------------------------------------------------------------------------------

    def _on_request(self, link: Link, message: Any) -> None:
        arrived = _arrived(rpc_queue(self._service), message)
        reply_to = message.properties.get("reply_to")
        if not isinstance(reply_to, str) or not reply_to:
            self._aside(self._park, link, message, arrived, "rpc:no_reply_to")
            return
        timeout_ms = arrived.headers.get(wire.TIMEOUT_HEADER)
        deadline = link.earliest_arrival() + timeout_ms / 1000 if isinstance(timeout_ms, int) else None
        if deadline is not None and deadline <= time.monotonic():
            self._in_flight += 1
            self._done(link, message)  # nobody waits for it any longer
            return
        correlation = arrived.context.correlation_id
        identity = arrived.headers.get(wire.IDENTITY_HEADER)
        request = RequestContext(correlation, identity if isinstance(identity, str) else None, deadline)
        answer = partial(self._reply, link, message, reply_to, request)
        try:
            entrypoint, call = self._checked_call(message, arrived, request)
        except Refusal as refusal:
            self._in_flight += 1
            answer(wire.write_refusal(refusal, correlation))
            return
        self._spawn(
            link, message, entrypoint, (call,), request, partial(self._finish_request, entrypoint, request, answer)
        )

    def _checked_call(self, message: Any, arrived: Arrived, request: RequestContext) -> tuple[Rpc, Any]:
        from chassis.service import Call
        from kernel.errors import Kind

        runtime = self._runtime
        assert runtime is not None
        service, _, method = str(message.delivery_info.get("routing_key")).partition(".")
        entrypoint = self.methods.get(method)
        if entrypoint is None or service != self._service:
            raise Refusal(Kind.INVALID, "method_not_found", f"{service} has no method {method!r}.")
        try:
            if arrived.content_type != "application/json":
                raise wire.BadMessage("send JSON")
            data = wire.read_request(arrived.body)
        except wire.BadMessage as error:
            raise Refusal(Kind.INVALID, "malformed_request", f"Not a request: {error}.") from error
        caller = None
        if not entrypoint.anonymous or request.identity_token:
            caller = runtime.verifier.verify(request.identity_token)
        return entrypoint, Call(load_request(entrypoint.request, data), caller, request.deadline)

    def _finish_request(
        self,
        entrypoint: Rpc,
        request: RequestContext,
        answer: Callable[[str], None],
        _worker: Any,
        result: Any,
        exc_info: Any,
    ) -> tuple[Any, Any]:
        with entered(request):
            refusal = self._refusal_of(entrypoint.method_name, exc_info) if exc_info else None
            if refusal is None:
                try:
                    answer(wire.write_result(dump_checked(entrypoint.reply, result)))
                    return result, None
                except Exception as error:  # an answer that cannot be written must not end the process
                    _log.error("%s gave a malformed reply: %s", entrypoint.method_name, error)
                    refusal = wire.internal_error()
            answer(wire.write_refusal(refusal, request.correlation_id))
        return None, None

    def _refusal_of(self, name: str, exc_info: Any) -> Refusal:
        error = exc_info[1]
        if isinstance(error, Refusal):
            return error
        _log.error("%s.%s failed", self._service, name, exc_info=exc_info)
        return wire.internal_error()

    def _reply(self, link: Link, message: Any, reply_to: str, request: RequestContext, body: str) -> None:
        try:
            link.publish(
                body,
                exchange=message.headers.get(wire.REPLY_EXCHANGE_HEADER, RPC_EXCHANGE),
                routing_key=reply_to,
                headers={wire.CORRELATION_HEADER: request.correlation_id},
                persistent=False,
                correlation_id=message.properties.get("correlation_id"),
            )
        except Exception as error:
            # the link broke: the request comes again on the next one, and its effect is found done
            _log.info("could not reply: %s", type(error).__name__)
        self._done(link, message)

    # -- events -----------------------------------------------------------------------------------------------------

    def _on_event(self, wanted: Subscription, handler: Consume, link: Link, message: Any) -> None:
        arrived = _arrived(wanted.queue, message)
        try:
            event = read_event(arrived, wanted, handler.schema)
        except Malformed as error:
            self._aside(self._park, link, message, arrived, f"malformed:{error}")
            return
        self._spawn(
            link, message, handler, (event,), arrived.context, partial(self._finish_event, link, message, arrived)
        )

    def _finish_event(
        self, link: Link, message: Any, arrived: Arrived, _worker: Any, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        with entered(arrived.context):
            if exc_info:
                error = exc_info[1]
                cause = error.code if isinstance(error, Refusal) else type(error).__name__
                _log.warning(
                    "%s failed at attempt %d: %s", arrived.queue, arrived.attempt, cause,
                    exc_info=None if isinstance(error, Refusal) else exc_info,
                )  # fmt: skip
                self._after_failure(link, message, arrived, cause)
            else:
                self._done(link, message)
        return None, None

    def _after_failure(self, link: Link, message: Any, arrived: Arrived, cause: str) -> None:
        assert self._desk is not None
        try:
            self._desk.failed(arrived, cause)
        except Exception as error:
            # neither kept nor sent on: not acknowledged, so the broker still has it
            _log.warning("%s keeps an event that could not be sent on: %s", arrived.queue, type(error).__name__)
            self._in_flight -= 1
            return
        self._done(link, message)

    def _on_dropped(self, link: Link, message: Any) -> None:
        """What the broker itself gave up on: it crashed every process that took it."""
        death = (message.headers.get("x-death") or [{}])[0]
        arrived = _arrived(str(death.get("queue", dead_letter_queue(self._service))), message)
        self._aside(self._park, link, message, arrived, f"broker:{death.get('reason', 'dropped')}")

    def _park(self, link: Link, message: Any, arrived: Arrived, cause: str) -> None:
        assert self._desk is not None
        try:
            self._desk.park(arrived, cause)
        except Exception as error:
            _log.warning("could not park a message: %s", type(error).__name__)
            self._in_flight -= 1
            return
        self._done(link, message)

    # -- workers ----------------------------------------------------------------------------------------------------

    def _spawn(
        self,
        link: Link,
        message: Any,
        entrypoint: Any,
        arguments: tuple[Any, ...],
        request: RequestContext,
        finish: Callable[..., tuple[Any, Any]],
    ) -> None:
        self._in_flight += 1
        try:
            self.container.spawn_worker(
                entrypoint, arguments, {}, context_data={"request": request}, handle_result=finish
            )
        except ContainerBeingKilled:
            self._in_flight -= 1

    def _aside(self, call: Callable[..., None], link: Link, message: Any, *arguments: Any) -> None:
        """Do something with a message that needs no worker but may wait."""
        self._in_flight += 1
        eventlet.spawn_n(call, link, message, *arguments)

    def _done(self, link: Link, message: Any) -> None:
        self._in_flight -= 1
        try:
            link.ack(message.delivery_tag)
        except Exception as error:
            _log.info("could not acknowledge: %s; it will come again", type(error).__name__)


def _arrived(queue: str, message: Any) -> Arrived:
    body = message.body
    raw = body.encode() if isinstance(body, str) else bytes(body)
    headers = message.headers if isinstance(message.headers, dict) else {}
    return Arrived(queue, raw, headers, message.content_type)


def new_correlation() -> RequestContext:
    """A context for work that no request caused."""
    return RequestContext(new_id("cor"))
