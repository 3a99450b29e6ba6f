"""How a service is written: a nameko class whose entrypoints are a few lines each.

The chassis' own entrypoints, `rpc`, `consume` and `every`, take the place of nameko's (docs/adr/0001); `Provided`
hands every entrypoint the service's application object as ``self.app``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import eventlet
import sqlalchemy as sa
from eventlet.event import Event as GreenEvent
from marshmallow import Schema, fields
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import DependencyProvider, Entrypoint

from chassis import context
from chassis.identity import Identity, IdentityVerifier
from chassis.messages import RequestSchema
from chassis.messaging.link import is_memory
from chassis.messaging.relay import Relay
from chassis.messaging.topology import RETRY_DELAYS_S, Subscription
from chassis.persistence import Database
from chassis.persistence.tables import DEAD_LETTER, IDEMPOTENCY_KEY, INBOX, OUTBOX
from chassis.rpc.client import RpcClient
from chassis.rpc.server import BusServer, new_correlation
from chassis.settings import Environment, SettingsError
from kernel.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

#: How far back the embedded store offers sent events again at its start: longer than an event is ever retried.
_OFFER_AGAIN = timedelta(hours=24)


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


@dataclass
class Runtime:
    """What the chassis gives a service to build its application from.

    Args:
        service: the service's name.
        environment: for the service's own `settings.read`.
        broker_uri: the bus.
        database: the service's own.
        rpc: calls to others.
        relay: carries the outbox.
        verifier: checks who asks.
        clock: the time.
        queue_type: of event queues; None lets the broker choose.
        retry_delays_s: before each further attempt at an event.
    """

    service: str
    environment: Environment
    broker_uri: str
    database: Database
    rpc: RpcClient
    relay: Relay
    verifier: IdentityVerifier
    clock: Clock = field(default_factory=SystemClock)
    queue_type: str | None = None
    retry_delays_s: tuple[int, ...] = RETRY_DELAYS_S
    _timers: dict[str, Callable[[], None]] = field(default_factory=dict)

    @classmethod
    def read(cls, service: str, environment: Environment) -> Runtime:
        """Build it from the environment.

        Raises:
            SettingsError: naming everything that is missing or wrong.
        """
        broker_uri = environment.text("AMQP_URI")
        database_url = environment.text(f"{service.upper()}_DATABASE_URL")
        public_key = environment.key("IDENTITY_PUBLIC_KEY")
        environment.check()
        clock = SystemClock()
        database = Database(database_url, clock)
        embedded = is_memory(broker_uri)
        return cls(
            service=service,
            environment=environment,
            broker_uri=broker_uri,
            database=database,
            rpc=RpcClient(broker_uri, service),
            relay=Relay(broker_uri, database, _OFFER_AGAIN if embedded else None),
            verifier=IdentityVerifier(public_key),
            clock=clock,
            queue_type=None if embedded else environment.text("PUNCHCARD_QUEUE_TYPE", "quorum"),
            retry_delays_s=_delays(environment),
        )

    def waker(self, method: str) -> Callable[[], None]:
        """Something to call that runs the `every` entrypoint `method` at once."""
        return lambda: self._timers.get(method, lambda: None)()


def _delays(environment: Environment) -> tuple[int, ...]:
    text = environment.text("PUNCHCARD_RETRY_DELAYS_S", ",".join(map(str, RETRY_DELAYS_S)))
    if not all(word.isdigit() for word in text.split(",")):
        raise SettingsError("PUNCHCARD_RETRY_DELAYS_S is not a list of whole seconds such as 1,5,60")
    return tuple(int(word) for word in text.split(","))


class Provided(DependencyProvider):
    """The service's application object, built once per process by its bootstrap.

    Args:
        bootstrap: makes the application from the runtime.
    """

    server = BusServer()

    def __init__(self, bootstrap: Callable[[Runtime], Any]) -> None:
        super().__init__()
        self._bootstrap = bootstrap
        self._app: Any = None
        self.runtime: Runtime | None = None

    def setup(self) -> None:
        runtime = Runtime.read(self.container.service_name, Environment(os.environ))
        self.runtime = runtime
        self._app = self._bootstrap(runtime)
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
        context.enter(worker_ctx.data.get("request") or new_correlation())


class Rpc(Entrypoint):
    """A method that others may call.

    Args:
        request: the schema of its keyword arguments.
        reply: the schema of its answer.
        anonymous: whether it may be called without an identity.
    """

    server = BusServer()

    def __init__(self, request: Schema, reply: Schema, anonymous: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.request = request
        self.reply = reply
        self.anonymous = anonymous

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
        runtime._timers[self.method_name] = self.wake
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
            self.container.spawn_worker(self, (), {}, context_data={"request": new_correlation()}, handle_result=finish)
        except ContainerBeingKilled:
            return
        done.wait()


rpc = Rpc.decorator
consume = Consume.decorator
every = Every.decorator


class HealthReply(RequestSchema):
    """Which service answered."""

    service = fields.String(required=True)


class Service:
    """What every service has: a sign of life, and the clean-up of its messaging tables."""

    name: str
    app: Any = None

    #: How long the chassis' rows are kept, in days.
    _KEPT_DAYS = ((OUTBOX, "sent_at", 2), (INBOX, "handled_at", 30), (DEAD_LETTER, "parked_at", 30),
                  (IDEMPOTENCY_KEY, "created_at", 30))  # fmt: skip

    @rpc(request=RequestSchema(), reply=HealthReply(), anonymous=True)
    def health(self, call: Call) -> dict[str, str]:
        """Whether the bus, a worker and the database answer."""
        self.app.database.ping()
        return {"service": self.name}

    @every(3600.0)
    def clean_up(self) -> None:
        """Delete what nobody will ask for again."""
        for table, column, days in self._KEPT_DAYS:
            with self.app.database.transaction() as transaction:
                limit = transaction.now - timedelta(days=days)
                transaction.execute(sa.delete(table).where(table.c[column] < limit))


def yield_to_others() -> None:
    """Let other greenlets run; for long loops."""
    eventlet.sleep(0)
