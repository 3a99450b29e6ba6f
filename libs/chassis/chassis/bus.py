"""The service's side of the bus: one link per service, requests and events come in, replies go out.

It takes the place of nameko's QueueConsumer, RpcConsumer and Responder (docs/adr/0001). A message is checked before a
worker is spawned for it, so that no message can end the process; it is acknowledged after the worker is done; and on
a stop no new ones are taken while the link stays open until the last worker has acknowledged.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import eventlet
from eventlet.event import Event as GreenEvent
from marshmallow import Schema
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import SharedExtension

from chassis import failpoints
from chassis.context import RequestContext, entered
from chassis.messages import Event
from chassis.messaging.failures import FailureDesk
from chassis.messaging.incoming import Arrived, Malformed, read_event
from chassis.messaging.link import Link, Listener, is_memory
from chassis.messaging.topology import (
    RPC_EXCHANGE,
    Mismatch,
    Subscription,
    dead_letter_queue,
    declare_retries,
    declare_service,
    explain,
    fitting_queue_type,
    probe_queue,
    rpc_queue,
)
from chassis.observability.metrics import EVENTS, RPC_EXPIRED, RPC_REQUEST_S, sample
from chassis.observability.sampled import service_sampler
from chassis.rpc import wire
from chassis.rpc.requests import Method, RequestDesk
from chassis.runtime import Runtime
from chassis.streams import EventStream, Taken
from kernel.errors import Kind, Refusal

_log = logging.getLogger(__name__)

#: Requests that one process works on at a time; more wait in the queue, where another process may take them.
RPC_PREFETCH = 16
#: Questions whether it is well; they wait for no worker.
_PROBE_PREFETCH = 2
#: Events of one kind that one process works on at a time.
EVENT_PREFETCH = 8
#: Pause before a message goes back to its queue, when it can neither be parked nor be sent to a delay queue.
_GIVE_BACK_AFTER_S = 1.0
#: How long a stop waits for workers to finish.
DRAIN_TIMEOUT_S = 25.0


class Handler(Protocol):
    """What is known of a handler of events; one with `most` takes up to so many at a time."""

    schema: Schema


class BusServer(SharedExtension):
    """One per service container; the entrypoints register with it."""

    def __init__(self) -> None:
        super().__init__()
        self.methods: dict[str, Method] = {}
        self.handlers: dict[str, tuple[Subscription, Handler]] = {}
        #: Consumers by the channel they are on and their tag.
        self._tags: list[tuple[Link, str]] = []
        self._streams: dict[str, EventStream] = {}
        self._in_flight = 0
        self._stopping = False
        #: What is on the broker with other arguments than this version declares; the service is not ready while it is.
        self._mismatches: list[Mismatch] = []
        #: The counters of what is handled, by queue; the durations of requests, by method and outcome.
        self._handled: dict[str, Any] = {}
        self._durations: dict[tuple[str, str], Any] = {}

    @property
    def _service(self) -> str:
        return str(self.container.service_name)

    def attach(self, runtime: Runtime) -> None:
        """Told by the `Provided` dependency what this process works with, before anything starts."""
        self._runtime = runtime
        self._requests = RequestDesk(self._service, self.methods, runtime.verifier)
        self._failures = FailureDesk(runtime.database, runtime.relay.publish, runtime.retry_delays_s)
        self._listener = Listener(runtime.broker_uri, self._service, self._set_up, tend=self._tend)

    def start(self) -> None:
        self._handled = {queue: EVENTS.labels(queue, "handled") for queue in self.handlers}
        queues = [rpc_queue(self._service), *self.handlers]
        sample(
            self._service,
            service_sampler(self._runtime, queues, lambda: self._in_flight, lambda: len(self._mismatches)),
        )
        self._listener.start()
        if not self._listener.wait_ready(30):
            _log.warning("%s still waits for the bus", self._service)

    def pause(self) -> None:
        """Take no new messages (the first thing a stop does)."""
        if self._stopping:
            return
        self._stopping = True
        if self._listener.link is None:
            return
        for link, tag in self._tags:
            try:
                link.cancel(tag)
            except Exception as error:
                _log.info("could not cancel %s: %s", tag, type(error).__name__)

    def stop(self) -> None:
        """Close the link once every worker has acknowledged, or after `DRAIN_TIMEOUT_S`."""
        self.pause()
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while self._busy and time.monotonic() < deadline:
            eventlet.sleep(0.02)
        self._listener.stop()

    @property
    def _busy(self) -> bool:
        return self._in_flight > 0 or not all(stream.idle for stream in self._streams.values())

    def kill(self) -> None:
        self._listener.stop()

    # -- what comes in ----------------------------------------------------------------------------------------------

    def _set_up(self, link: Link) -> None:
        runtime = self._runtime
        self._declare(link)
        self._tags = []
        self._consume(link, probe_queue(self._service), _PROBE_PREFETCH, self._on_probe)
        self._consume(link, rpc_queue(self._service), RPC_PREFETCH, self._on_request)
        for queue, (subscription, handler) in self.handlers.items():
            most = getattr(handler, "most", None)
            if most is None:
                self._consume(link, queue, EVENT_PREFETCH, partial(self._on_event, subscription, handler))
            else:
                stream = self._stream(queue, handler, most)
                # a batch at work, and as much again that gathers meanwhile
                self._consume(link.branch(), queue, 2 * most, partial(self._on_streamed, subscription, handler, stream))
        if not is_memory(runtime.broker_uri):
            self._consume(link, dead_letter_queue(self._service), 1, self._on_dropped)

    def _declare(self, link: Link) -> None:
        """Declare the topology. What exists with other arguments is used as it is, and complained about."""
        runtime = self._runtime
        wanted = [subscription for subscription, _ in self.handlers.values()]
        queue_type = fitting_queue_type(link.connection, runtime.queue_type)
        with link.second_channel() as channel:
            found = declare_service(channel, self._service, wanted, queue_type)
            found += declare_retries(channel, runtime.retry_delays_s, queue_type)
        if found != self._mismatches:
            for line in explain(found):
                _log.error("%s is not ready: %s", self._service, line)
            if not found:
                _log.info("%s found its queues put right", self._service)
        self._mismatches = found

    def _tend(self, link: Link) -> None:
        if self._mismatches and not self._stopping:
            self._declare(link)

    def _consume(self, link: Link, queue: str, prefetch: int, call: Callable[[Link, Any], None]) -> None:
        self._tags.append((link, link.consume(queue, partial(self._received, link, queue, call), prefetch=prefetch)))

    def _received(self, link: Link, queue: str, call: Callable[[Link, Any], None], message: Any) -> None:
        if self._stopping:
            return  # unacknowledged: the broker gives it to another process when the link closes
        try:
            call(link, message)
        except Exception:
            # no message may end the process, nor hold a place in the prefetch window for ever
            _log.exception("could not take a message of %s", queue)
            self._aside(self._park, link, message, _arrived(queue, message), "malformed:unreadable")

    def _on_request(self, link: Link, message: Any) -> None:
        arrived = _arrived(rpc_queue(self._service), message)
        reply_to = message.properties.get("reply_to")
        if not isinstance(reply_to, str) or not reply_to:
            self._aside(self._park, link, message, arrived, "rpc:no_reply_to")
            return
        timeout_ms = arrived.headers.get(wire.TIMEOUT_HEADER)
        deadline = link.earliest_arrival() + timeout_ms / 1000 if isinstance(timeout_ms, int) else None
        if deadline is not None and deadline <= time.monotonic():
            RPC_EXPIRED.labels(self._service).inc()
            self._ack(link, message)  # nobody waits for it any longer
            return
        identity = arrived.headers.get(wire.IDENTITY_HEADER)
        request = RequestContext(
            arrived.context.correlation_id, identity if isinstance(identity, str) else None, deadline
        )
        try:
            method, call = self._requests.check(str(message.delivery_info.get("routing_key")), arrived, request)
        except Refusal as refusal:
            self._reply(link, message, request, self._requests.refuse(refusal, request))
            return
        began = time.monotonic()
        self._spawn(method, call, request, partial(self._finish_request, link, message, method, request, began))

    def _on_probe(self, link: Link, message: Any) -> None:
        """Whether the bus and the database answer, said outside of the worker pool: busy is not dead."""
        if not message.properties.get("reply_to"):
            self._ack(link, message)
            return
        self._aside(self._answer_probe, link, message, _arrived(probe_queue(self._service), message).context)

    def _answer_probe(self, link: Link, message: Any, request: RequestContext) -> None:
        try:
            self._runtime.database.ping()
            if self._mismatches:
                raise Refusal(Kind.UNAVAILABLE, wire.NOT_READY, "; ".join(map(str, self._mismatches)))
            body = wire.write_result({"service": self._service})
        except Refusal as refusal:
            body = self._requests.refuse(refusal, request)
        self._reply(link, message, request, body)

    def _on_event(self, subscription: Subscription, handler: Handler, link: Link, message: Any) -> None:
        arrived = _arrived(subscription.queue, message)
        try:
            event = read_event(arrived, subscription, handler.schema)
        except Malformed as error:
            self._aside(self._park, link, message, arrived, f"malformed:{error}")
            return
        self._spawn(handler, event, arrived.context, partial(self._finish_event, link, message, arrived))

    def _stream(self, queue: str, handler: Any, most: int) -> EventStream:
        stream = self._streams.get(queue)
        if stream is None:
            stream = EventStream(
                most, partial(self._work, handler), partial(self._count_handled, queue), self._failed, self._malformed
            )
            self._streams[queue] = stream
        stream.forget()
        return stream

    def _on_streamed(
        self, subscription: Subscription, handler: Handler, stream: EventStream, link: Link, message: Any
    ) -> None:
        arrived = _arrived(subscription.queue, message)
        try:
            taken = Taken(link, message, arrived, read_event(arrived, subscription, handler.schema))
        except Malformed as error:
            taken = Taken(link, message, arrived, None, f"malformed:{error}")
        stream.add(taken)

    def _work(self, handler: Any, events: list[Event]) -> Any:
        """Have a worker handle events, and wait for it; what it raised, or None."""
        done = GreenEvent()

        def finished(_worker: Any, _result: Any, exc_info: Any) -> tuple[Any, Any]:
            done.send(exc_info)
            return None, None

        request = RequestContext(events[0].correlation_id)
        self.container.spawn_worker(
            handler, (events,), {}, context_data={"request": request}, handle_result=finished
        )  # fmt: skip
        return done.wait()

    def _count_handled(self, queue: str, number: int) -> None:
        failpoints.reach("event.handled")
        self._handled[queue].inc(number)

    def _failed(self, taken: Taken, exc_info: Any) -> None:
        with entered(taken.arrived.context):
            self._hand_over(
                self._failures.failed, taken.link, taken.message, taken.arrived, _told(taken.arrived, exc_info)
            )

    def _malformed(self, taken: Taken) -> None:
        self._park(taken.link, taken.message, taken.arrived, taken.cause)

    def _on_dropped(self, link: Link, message: Any) -> None:
        """What the broker itself gave up on: it crashed every process that took it."""
        arrived = _arrived(dead_letter_queue(self._service), message)
        deaths = arrived.headers.get("x-death")
        death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
        arrived = replace(arrived, queue=str(death.get("queue", arrived.queue))[:150])
        self._aside(self._park, link, message, arrived, f"broker:{death.get('reason', 'dropped')}")

    # -- what is done with it ---------------------------------------------------------------------------------------

    def _spawn(self, entrypoint: Any, argument: Any, request: RequestContext, finish: Callable[..., None]) -> None:
        def finished(_worker: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
            self._in_flight -= 1
            finish(result, exc_info)  # in the worker's greenlet, which has entered the request
            return None, None  # dealt with: nothing for nameko to report

        self._in_flight += 1
        try:
            self.container.spawn_worker(
                entrypoint, (argument,), {}, context_data={"request": request}, handle_result=finished
            )
        except ContainerBeingKilled:
            self._in_flight -= 1  # unacknowledged: another process gets it

    def _finish_request(
        self,
        link: Link,
        message: Any,
        method: Method,
        request: RequestContext,
        began: float,
        result: Any,
        exc_info: Any,
    ) -> None:
        self._duration(method.method_name, exc_info).observe(time.monotonic() - began)
        failpoints.reach("request.worked")
        self._reply(link, message, request, self._requests.answer(method, request, result, exc_info))

    def _duration(self, method: str, exc_info: Any) -> Any:
        error = exc_info[1] if exc_info else None
        outcome = "ok" if error is None else str(error.kind) if isinstance(error, Refusal) else str(Kind.INTERNAL)
        found = self._durations.get((method, outcome))
        if found is None:
            found = self._durations[method, outcome] = RPC_REQUEST_S.labels(self._service, method, outcome)
        return found

    def _reply(self, link: Link, message: Any, request: RequestContext, body: str) -> None:
        try:
            link.publish(
                body,
                exchange="" if message.headers.get(wire.REPLY_EXCHANGE_HEADER) == "" else RPC_EXCHANGE,
                routing_key=message.properties["reply_to"],
                headers={wire.CORRELATION_HEADER: request.correlation_id},
                persistent=False,
                correlation_id=message.properties.get("correlation_id"),
                acks=message.delivery_tag,
            )
        except Exception as error:
            # the link broke: the request comes again on the next one, and its effect is found done
            _log.info("could not reply: %s", type(error).__name__)

    def _finish_event(self, link: Link, message: Any, arrived: Arrived, _result: Any, exc_info: Any) -> None:
        if exc_info is None:
            self._count_handled(arrived.queue, 1)
            self._ack(link, message)
            return
        self._hand_over(self._failures.failed, link, message, arrived, _told(arrived, exc_info))

    def _park(self, link: Link, message: Any, arrived: Arrived, cause: str) -> None:
        self._hand_over(self._failures.park, link, message, arrived, cause)

    def _hand_over(
        self, desk: Callable[[Arrived, str], None], link: Link, message: Any, arrived: Arrived, cause: str
    ) -> None:
        try:
            desk(arrived, cause)
        except Exception as error:
            # neither kept nor sent on: back to the queue, slowly; if the link is gone too, the broker does it itself
            _log.warning("%s gets a message back that could not be sent on: %s", arrived.queue, type(error).__name__)
            eventlet.sleep(_GIVE_BACK_AFTER_S)
            with contextlib.suppress(Exception):
                link.requeue(message.delivery_tag)
            return
        self._ack(link, message)

    def _aside(self, call: Callable[..., None], *arguments: Any) -> None:
        """Do something that needs no worker but may wait; the draining greenlet must not."""

        def run() -> None:
            try:
                call(*arguments)
            finally:
                self._in_flight -= 1

        self._in_flight += 1
        eventlet.spawn_n(run)

    def _ack(self, link: Link, message: Any) -> None:
        try:
            link.ack(message.delivery_tag)
        except Exception as error:
            _log.info("could not acknowledge: %s; it will come again", type(error).__name__)


def _told(arrived: Arrived, exc_info: Any) -> str:
    """The cause of a failure, which is in the log now."""
    error = exc_info[1]
    refused = isinstance(error, Refusal)
    cause = error.code if refused else type(error).__name__
    _log.warning(
        "%s failed at attempt %d: %s", arrived.queue, arrived.attempt, cause, exc_info=None if refused else exc_info
    )
    return str(cause)


def _arrived(queue: str, message: Any) -> Arrived:
    body = message.body
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    headers = message.headers if isinstance(message.headers, dict) else {}
    return Arrived(queue, raw, headers, message.content_type)
