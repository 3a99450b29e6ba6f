"""How a service is written: a nameko class whose entrypoints are a few lines each.

The chassis' own entrypoints, `rpc`, `consume` and `every`, take the place of nameko's (docs/adr/0001); `Provided`
hands every entrypoint the service's application object as ``self.app``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from importlib import import_module
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from eventlet.event import Event as GreenEvent
from marshmallow import Schema, fields
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import DependencyProvider, Entrypoint

from chassis import audit_trail, context, timeline
from chassis.bus import BusServer
from chassis.identity import STAFF
from chassis.messages import RequestSchema
from chassis.messaging import dead_letters
from chassis.messaging.dead_letters import DeadLetters, Selection
from chassis.messaging.state import MessagingState, messaging_state
from chassis.messaging.topology import Subscription
from chassis.observability import metrics
from chassis.persistence.database import Reader
from chassis.persistence.tables import DEAD_LETTER, IDEMPOTENCY_KEY, INBOX, OUTBOX
from chassis.rpc.requests import Call
from chassis.runtime import Runtime
from chassis.settings import Environment
from kernel.ids import new_id

__all__ = [
    "Call",
    "Consume",
    "ConsumeMany",
    "Every",
    "Provided",
    "Rpc",
    "Runtime",
    "Service",
    "consume",
    "consume_many",
    "entrypoints",
    "every",
    "load",
    "rpc",
    "subscriptions",
]

_log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Entrypoint)


class Provided(DependencyProvider):
    """The service's application object, built once per process by its bootstrap.

    Args:
        bootstrap: makes the application from the runtime.
        gauges: by source, as `chassis.observability.metrics.sample` has it, what makes a sampler of the application.
    """

    server = BusServer()

    def __init__(
        self, bootstrap: Callable[[Runtime], Any], gauges: Mapping[str, Callable[[Any], metrics.Sampler]] | None = None
    ) -> None:
        super().__init__()
        self._bootstrap = bootstrap
        self._gauges = gauges or {}
        self._app: Any = None
        self.runtime: Runtime | None = None

    def setup(self) -> None:
        runtime = Runtime.read(self.container.service_name, Environment(os.environ))
        self.runtime = runtime
        self._app = self._bootstrap(runtime)
        for source, sampler in self._gauges.items():
            metrics.sample(source, sampler(self._app))
        runtime.environment.check()
        self.server.attach(runtime)

    def start(self) -> None:
        assert self.runtime is not None
        self.runtime.rpc.start()
        self.runtime.relay.start()

    def stop(self) -> None:
        if self.runtime is not None:
            self.runtime.relay.stop()
            self.runtime.rpc.stop()
            self.runtime.database.close()

    def get_dependency(self, worker_ctx: Any) -> Any:
        return self._app

    def worker_setup(self, worker_ctx: Any) -> None:
        worker_ctx.service.runtime = self.runtime
        context.enter(worker_ctx.data.get("request") or _new_context())


class Rpc(Entrypoint):
    """A method that others may call.

    Args:
        request: the schema of its keyword arguments.
        reply: the schema of its answer.
        anonymous: whether it may be called without an identity.
        scope: what a restricted API key must be made for (`chassis.identity.SCOPES`); None: no such key may call it.
            Roles are for the use cases to check.
    """

    server = BusServer()

    def __init__(
        self, request: Schema, reply: Schema, anonymous: bool = False, scope: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.request = request
        self.reply = reply
        self.anonymous = anonymous
        self.scope = scope

    def setup(self) -> None:
        self.server.methods[self.method_name] = self

    def stop(self) -> None:
        self.server.pause()


class Consume(Entrypoint):
    """A handler of one kind of event.

    Args:
        event: the event type's name.
        schema: what the handler reads of its data.
    """

    server = BusServer()

    def __init__(self, event: str, schema: Schema, **options: Any) -> None:
        super().__init__(**options)
        self.event = event
        self.schema = schema

    def setup(self) -> None:
        wanted = Subscription(self.container.service_name, self.event)
        self.server.handlers[wanted.queue] = (wanted, self)

    def stop(self) -> None:
        self.server.pause()


class ConsumeMany(Consume):
    """A handler of one kind of event that takes several at a time, in one transaction.

    It gets a list of events and must bring about the effect of each or, by an exception, of none: then each is handed
    to it alone.

    Args:
        event: the event type's name.
        schema: what the handler reads of its data.
        most: events handed over at once at most.
    """

    def __init__(self, event: str, schema: Schema, most: int = 50, **options: Any) -> None:
        super().__init__(event, schema, **options)
        self.most = most


class Every(Entrypoint):
    """Work that is done again and again, one run at a time, from the moment the service starts.

    Args:
        seconds: between the end of one run and the start of the next; eventlet's clock is monotonic, so that a
            changed wall clock neither skips nor bunches runs.
    """

    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = seconds
        self._stopping = False
        self._woken = False
        self._wake = GreenEvent()

    def setup(self) -> None:
        for dependency in self.container.dependencies:
            if isinstance(dependency, Provided):
                self._provided = dependency

    def start(self) -> None:
        runtime = self._provided.runtime
        assert runtime is not None
        runtime.timers[self.method_name] = self.wake
        self.container.spawn_managed_thread(self._run, identifier=f"every-{self.method_name}")

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Run at once, or once more right after the run that is under way."""
        self._woken = True
        if not self._wake.ready():
            self._wake.send(None)

    def _run(self) -> None:
        while not self._stopping:
            self._wake = GreenEvent()
            self._woken = False
            self._run_once()
            if not self._stopping and not self._woken:
                self._wake.wait(timeout=self.seconds)

    def _run_once(self) -> None:
        done = GreenEvent()

        def finish(_worker: Any, _result: Any, exc_info: Any) -> tuple[Any, Any]:
            if exc_info:
                _log.error("%s failed: %s", self.method_name, exc_info[0].__name__, exc_info=exc_info)
            done.send(None)
            return None, None

        try:
            self.container.spawn_worker(self, (), {}, context_data={"request": _new_context()}, handle_result=finish)
        except ContainerBeingKilled:
            return
        done.wait()


rpc = Rpc.decorator
consume = Consume.decorator
consume_many = ConsumeMany.decorator
every = Every.decorator


class HealthReply(RequestSchema):
    """Which service answered."""

    service = fields.String(required=True)


class Service:
    """What every service has: a sign of life, its dead letters, and the clean-up of its messaging tables."""

    name: str
    app: Any = None
    #: What the process works with; `Provided` sets it for each worker.
    runtime: Any = None

    #: Rows that are kept for a while only: the table, the column that says since when, and how many days. A service
    #: with such tables of its own adds them.
    kept_days: ClassVar[tuple[tuple[sa.Table, str, int], ...]] = (
                  (OUTBOX, "sent_at", 2), (INBOX, "handled_at", 30), (DEAD_LETTER, "parked_at", 30),
                  (IDEMPOTENCY_KEY, "created_at", 30))  # fmt: skip

    def find_steps(self, reader: Reader, order_id: str, organization_id: str | None) -> Iterable[timeline.Step]:
        """The steps of an order that the service knows of; one that does something for orders says which.

        Args:
            reader: the database.
            order_id: the order.
            organization_id: whose it must be; None for anybody's.
        """
        return ()

    @rpc(request=RequestSchema(), reply=HealthReply(), anonymous=True)
    def health(self, call: Call) -> dict[str, str]:
        """Whether the bus, a worker and the database answer."""
        self.app.database.ping()
        return {"service": self.name}

    @rpc(request=RequestSchema(), reply=MessagingState())
    def messaging_state(self, call: Call) -> dict[str, Any]:
        """What has not left the outbox yet, and what was parked; for staff."""
        call.caller.require(*STAFF)
        return messaging_state(self.app.database)

    @rpc(request=dead_letters.ListDeadLetters(), reply=dead_letters.DeadLetterList())
    def list_dead_letters(self, call: Call) -> dict[str, Any]:
        """What could not be handled, for staff: everything but the bodies."""
        call.caller.require(*dead_letters.READERS)
        limit, cursor = call.data.pop("limit"), call.data.pop("cursor", None)
        return self._dead_letters().page(Selection(**call.data), limit, cursor)

    @rpc(request=dead_letters.ReplayDeadLetters(), reply=dead_letters.Replayed())
    def replay_dead_letters(self, call: Call) -> dict[str, int]:
        """Try again what could not be handled, for staff; the oldest `MOST_AT_ONCE` at once."""
        call.caller.require(*dead_letters.REPLAYERS)
        wanted = Selection(call.data.get("id"), None, call.data.get("cause_prefix"))
        return self._dead_letters().replay(wanted, dead_letters.MOST_AT_ONCE)

    @rpc(request=audit_trail.ListAudit(), reply=audit_trail.AuditPage(), scope="admin")
    def list_audit(self, call: Call) -> dict[str, Any]:
        """Who changed what: all of it for staff, what concerns their organisation for admins."""
        with self.app.database.reading() as reader:
            return audit_trail.list_audit(reader, call.caller, **call.data)

    @rpc(request=timeline.OrderTimelineRequest(), reply=timeline.OrderTimeline(), scope="read")
    def order_timeline(self, call: Call) -> dict[str, Any]:
        """What this service did for an order: all of it for staff, that of their own for customers."""
        with self.app.database.reading() as reader:
            return timeline.order_timeline(reader, call.caller, call.data["order_id"], self.find_steps)

    def _dead_letters(self) -> DeadLetters:
        return DeadLetters(self.runtime.database, self.runtime.broker_uri)

    @every(3600.0)
    def clean_up(self) -> None:
        """Delete what nobody will ask for again."""
        for table, column, days in self.kept_days:
            with self.app.database.transaction() as transaction:
                limit = transaction.now - timedelta(days=days)
                transaction.execute(sa.delete(table).where(table.c[column] < limit))


def load(name: str) -> type[Service]:
    """The nameko class of a service: ``<name>.service.<Name>Service``."""
    found: type[Service] = getattr(import_module(f"{name}.service"), f"{name.capitalize()}Service")
    return found


def entrypoints(service_class: type[Service], kind: type[Kind]) -> dict[str, Kind]:
    """The entrypoints of one kind that a service class has, by their methods' names; its base classes' too."""
    return {
        name: entrypoint
        for name in sorted(dir(service_class))
        for entrypoint in getattr(getattr(service_class, name), "nameko_entrypoints", ())
        if isinstance(entrypoint, kind)
    }


def subscriptions(service_class: type[Service]) -> list[Subscription]:
    """The events that a service class handles."""
    return [
        Subscription(service_class.name, entrypoint.event)
        for entrypoint in entrypoints(service_class, Consume).values()
    ]


def _new_context() -> context.RequestContext:
    """A context for work that no request caused."""
    return context.RequestContext(new_id("cor"))
