"""What a process works with: built from the environment, handed to a service's bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from chassis import failpoints
from chassis.identity import IdentityVerifier
from chassis.messaging.link import is_memory
from chassis.messaging.relay import Relay
from chassis.messaging.topology import RETRY_DELAYS_S
from chassis.persistence import Database
from chassis.rpc.client import RpcClient
from chassis.settings import Environment, SettingsError
from kernel.clock import Clock, SystemClock

#: How far back the embedded store offers sent events again at its start: longer than an event is ever retried.
_OFFER_AGAIN = timedelta(hours=24)


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
        queue_type: of event queues; None for the best that the broker has.
        retry_delays_s: before each further attempt at an event.
        timers: what wakes each `every` entrypoint; they register themselves.
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
    timers: dict[str, Callable[[], None]] = field(default_factory=dict)

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
        failpoints.arm(environment)
        clock = failpoints.clock(environment)
        database = Database(database_url, clock, environment.integer("PUNCHCARD_DATABASE_CONNECTIONS", 20))
        embedded = is_memory(broker_uri)
        return cls(
            service=service,
            environment=environment,
            broker_uri=broker_uri,
            database=database,
            rpc=RpcClient(broker_uri, service),
            relay=Relay(broker_uri, database, _OFFER_AGAIN if embedded else None),
            verifier=IdentityVerifier(public_key, clock),
            clock=clock,
            queue_type=read_queue_type(environment),
            retry_delays_s=_delays(environment),
        )

    def waker(self, method: str) -> Callable[[], None]:
        """Something to call that runs the `every` entrypoint `method` at once."""
        return lambda: self.timers.get(method, lambda: None)()


def read_queue_type(environment: Environment) -> str | None:
    """What event queues are to be; None for the best that the broker has.

    Raises:
        SettingsError: it is nothing that a queue can be.
    """
    value = environment.text("PUNCHCARD_QUEUE_TYPE", "") or None
    if value not in (None, "quorum", "classic"):
        raise SettingsError(f"PUNCHCARD_QUEUE_TYPE is {value!r}, neither quorum nor classic")
    return value


def _delays(environment: Environment) -> tuple[int, ...]:
    text = environment.text("PUNCHCARD_RETRY_DELAYS_S", ",".join(map(str, RETRY_DELAYS_S)))
    if not all(word.isdigit() for word in text.split(",")):
        raise SettingsError("PUNCHCARD_RETRY_DELAYS_S is not a list of whole seconds such as 1,5,60")
    return tuple(int(word) for word in text.split(","))
