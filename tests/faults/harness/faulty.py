"""A store of real processes, run from inside the test, so that each of them can be killed, kept away and changed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa
from kombu import Connection
from store import CHEAP_PASSWORDS, UNSUSPECTING, Store

from chassis.local_servers import PrivatePostgres, PrivateRabbit
from chassis.messaging.depths import queue_depths
from chassis.rpc import RpcClient
from chassis.testing import wait_until
from harness.proxy import Proxy
from kernel.errors import Refusal
from punchcard import processes
from punchcard.parts import SERVICES
from punchcard.processes import Child
from punchcard.reconcile import Report, broker_depths

#: How long things may take to become quiet (reliability: the invariant).
QUIET_S = 60.0
#: How long a process that died stays away.
_RESTART_AFTER_S = 0.3
#: Attempts at an event come soon, so that a test of two seconds of trouble does not take a minute. All of them are
#: delays that `punchcard topology` declares.
_RETRY_DELAYS_S = "1,1,1,1,5,5,15,60,300"
#: For the same reason an order or ticket whose process died is resumed after six seconds, not ten to thirty.
_RESUMPTION = {
    "CART_COLLECT_TIMEOUT_S": "5", "CART_RESUME_AFTER_S": "6", "CART_RESUME_AT_MOST_S": "6",
    "SUPPORT_RESUME_AFTER_S": "6", "SUPPORT_RESUME_AT_MOST_S": "6",
}  # fmt: skip


class FaultyStore(Store):
    """One process a service on a private broker and database, each of which the test may kill.

    Args:
        folder: what it keeps.
        rabbit, postgres: its own; started.
        environment: more variables, for every process.
        scale: processes per service where it is not one.
    """

    def __init__(
        self,
        folder: Path,
        rabbit: PrivateRabbit,
        postgres: PrivatePostgres,
        environment: Mapping[str, str] | None = None,
        scale: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(folder, "services")
        self.rabbit, self.postgres = rabbit, postgres
        self._processes = processes.Store(
            folder, self.port, scale or {}, _RESTART_AFTER_S,
            {
                **os.environ,
                "AMQP_URI": rabbit.uri,
                "DATABASE_URL": postgres.url(),
                "PYTHONPATH": ":".join(sys.path),
                "PUNCHCARD_TEST_BUILD": "1",
                "PUNCHCARD_RETRY_DELAYS_S": _RETRY_DELAYS_S,
                **_RESUMPTION,
                **CHEAP_PASSWORDS,
                **UNSUSPECTING,
                **(environment or {}),
            },
        )  # fmt: skip
        self._stack = contextlib.ExitStack()
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._supervised = True
        self._supervisor: threading.Thread | None = None
        self._rpc: RpcClient | None = None

    # -- as a store -------------------------------------------------------------------------------------------------

    def start(self) -> FaultyStore:
        self._processes.start(self._stack)
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervisor.start()
        return self

    def stop(self) -> int:
        """SIGTERM to all, in the order of `punchcard services`; 0."""
        self._closing.set()
        if self._supervisor is not None:
            self._supervisor.join()
            self._supervisor = None
        if self._rpc is not None:
            self._rpc.stop()
            self._rpc = None
        self._stack.close()
        return 0

    def close(self) -> None:
        self.stop()

    def _supervise(self) -> None:
        while not self._closing.wait(0.05):
            with self._lock:
                if self._supervised:
                    self._processes.supervise_once()

    # -- asking -----------------------------------------------------------------------------------------------------

    @property
    def rpc(self) -> RpcClient:
        """A client on the store's bus."""
        if self._rpc is None:
            self._rpc = RpcClient(self.rabbit.uri, "fault tests")
        return self._rpc

    @contextlib.contextmanager
    def database(self, service: str) -> Iterator[sa.Connection]:
        """A connection to one service's database; commits by itself."""
        engine = sa.create_engine(
            self.postgres.url(f"punchcard_{service}"), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            yield connection

    def rows(self, service: str, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query of one service's database finds."""
        with self.database(service) as connection:
            return [tuple(row) for row in connection.execute(sa.text(query), values)]

    @contextlib.contextmanager
    def locked(self, service: str, table: str) -> Iterator[None]:
        """Nobody reads or writes that table of a service's database in the block."""
        with (
            self.database(service) as connection,
            connection.execution_options(isolation_level="READ COMMITTED").begin() as transaction,
        ):
            connection.execute(sa.text(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE'))
            yield
            transaction.rollback()

    def depths(self, *queues: str) -> dict[str, int | None]:
        """How many messages are ready in these queues."""
        return queue_depths(self.rabbit.uri, queues)

    def waiting(self, queue: str) -> list[str]:
        """The ids of the events that are ready in a queue, which stay there."""
        with Connection(self.rabbit.uri) as connection:
            found = []
            with connection.channel() as channel:
                while (message := channel.basic_get(queue, no_ack=False)) is not None:
                    found.append(json.loads(message.body)["id"])
            return found

    def all_depths(self) -> Mapping[str, int | None]:
        """How many messages are ready in each queue of the store."""
        return broker_depths(self.rabbit.uri)()

    def log_of(self, name: str) -> str:
        """All that a process, and those before it in its place, have logged."""
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def lines_of(self, name: str, needle: str) -> int:
        """How many lines of that log hold `needle`."""
        return sum(needle in line for line in self.log_of(name).splitlines())

    def wait_ready(self, timeout_s: float = QUIET_S) -> None:
        """Wait until every service answers through the gateway."""
        wait_until(self._ready, "every service to answer", timeout_s)

    def _ready(self) -> bool:
        try:
            return bool(requests.get(f"{self.base_url}/readyz", timeout=10).status_code == 200)
        except requests.RequestException:
            return False

    def answers(self, service: str) -> bool:
        """Whether a service says over the bus that it is well."""
        try:
            self.rpc.call("health", service, {}, timeout_s=1.0)
        except Refusal:
            return False
        return True

    # -- processes --------------------------------------------------------------------------------------------------

    def child(self, name: str) -> Child:
        """A process, such as ``payments`` or ``payments.2``."""
        with self._lock:
            return next(child for child in self._processes.children if child.name == name)

    def pid_of(self, name: str) -> int:
        """The id of the process that runs in that place now."""
        process = self.child(name).process
        assert process is not None
        return process.pid

    def kill_9(self, name: str) -> None:
        """``kill -9``, with its own children (gunicorn's worker); the supervisor starts another one."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid_of(name), signal.SIGKILL)

    def wait_died(self, name: str, pid: int, timeout_s: float = QUIET_S) -> None:
        """Wait until the process `pid` is gone from that place."""
        wait_until(lambda: self.pid_of(name) != pid or not self.child(name).running, f"{name} to die", timeout_s)

    def relaunch(self, *names: str, **environment: str) -> None:
        """End processes by SIGTERM and start others in their places, with other variables for their one life.

        Whatever they die of, the next ones have the variables of the first. Waits until they answer.

        Args:
            names: of the processes.
            environment: such as PUNCHCARD_FAILPOINTS, or an address that leads through a `Proxy`.
        """
        self.relaunch_each(dict.fromkeys(names, environment))

    def relaunch_each(self, environments: Mapping[str, Mapping[str, str]]) -> None:
        """`relaunch` with variables for each."""
        with self._lock:
            children = [self.child(name) for name in environments]
            for child in children:
                child.ask_to_stop()
            for child in children:
                self._end(child)
                self._start(child, environments[child.name])
        for name in environments:
            self._wait_answers(name)

    def launch_another(self, service: str, **environment: str) -> str:
        """One more process of a service, with other variables for its one life; its name. Waits until it runs."""
        with self._lock:
            taken = sum(child.name.partition(".")[0] == service for child in self._processes.children)
            first = self.child(service)
            name = f"{service}.{taken + 1}"
            another = Child(name, first.command, first.environment, first.log.with_name(f"{name}.log"))
            self._start(another, environment)
            self._processes.children = [*self._processes.children, another]
            self._processes.note()
        wait_until(lambda: "takes messages" in self.log_of(name), f"{name} to start", QUIET_S)
        return name

    def dismiss(self, name: str) -> None:
        """End by SIGTERM a process that `launch_another` started, and forget it."""
        with self._lock:
            child = self.child(name)
            self._processes.children = [other for other in self._processes.children if other is not child]
            self._end(child)
            self._processes.note()

    @contextlib.contextmanager
    def unsupervised(self) -> Iterator[None]:
        """Nobody takes the place of what dies in the block before its end."""
        with self._lock:
            self._supervised = False
        try:
            yield
        finally:
            self._supervised = True

    @contextlib.contextmanager
    def away(self, name: str, number: int = signal.SIGKILL) -> Iterator[int]:
        """The process ends by that signal, and nobody takes its place before the end of the block; its exit status."""
        with self._lock:
            child = self.child(name)
            self._processes.children = [other for other in self._processes.children if other is not child]
        assert child.process is not None
        child.process.send_signal(number)
        status = child.process.wait(60)
        try:
            yield status
        finally:
            with self._lock:
                child.start()
                self._processes.children = [*self._processes.children, child]
                self._processes.note()
            self._wait_answers(name)

    def _end(self, child: Child) -> None:
        if child.process is not None and child.running:
            child.process.terminate()
            child.process.wait(60)

    def _start(self, child: Child, environment: Mapping[str, str]) -> None:
        usual, child.environment = child.environment, {**child.environment, **environment}
        try:
            child.start()
        finally:
            child.environment = usual  # for whoever comes after it
        self._processes.note()

    def _wait_answers(self, name: str) -> None:
        service = name.partition(".")[0]
        if service in SERVICES:
            wait_until(lambda: self.answers(service), f"{name} to answer", QUIET_S)
        else:
            self.wait_ready()

    # -- addresses that lead through a proxy ------------------------------------------------------------------------

    def broker_proxy(self) -> Proxy:
        """A proxy before the broker; `amqp_through` makes an AMQP_URI of it."""
        return Proxy(self.rabbit.port)

    def amqp_through(self, proxy: Proxy) -> str:
        """AMQP_URI by way of a proxy."""
        return self.rabbit.uri.replace(f":{self.rabbit.port}/", f":{proxy.port}/")

    def database_proxy(self) -> Proxy:
        """A proxy before the database; `database_through` makes a URL of it."""
        return Proxy(self.postgres.port)

    def database_through(self, proxy: Proxy, service: str) -> dict[str, str]:
        """The variable that sends a service to its database by way of a proxy."""
        url = sa.make_url(self.postgres.url(f"punchcard_{service}")).set(port=proxy.port)
        return {f"{service.upper()}_DATABASE_URL": url.render_as_string(hide_password=False)}

    def address_of(self, name: str, variable: str) -> str:
        """What a process's variable says, such as PAYMENTS_PROVIDER_URL of payments."""
        return self.child(name).environment[variable]


def assert_nothing_broken(store: Store, patience_s: float = QUIET_S) -> Report:
    """The invariant: after a fault, once things are quiet, nothing is lost, nothing came twice, nothing is stuck.

    Returns:
        What was looked at.
    """
    report = store.reconciled(patience_s, pause_s=0.3)
    assert report.breaks == [], "\n" + str(report)
    return report
