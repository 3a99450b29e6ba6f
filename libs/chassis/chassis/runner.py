"""Running services as processes. Patches the standard library for eventlet first, so import this module first."""

# ruff: noqa: E402  # the patch must come before anything that opens a socket or takes a lock
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from nameko.runners import ServiceRunner

from chassis.bus import DRAIN_TIMEOUT_S, EVENT_PREFETCH, RPC_PREFETCH
from chassis.container import Container
from chassis.messaging.link import connect
from chassis.messaging.topology import (
    Mismatch,
    declare_retries,
    declare_service,
    fitting_queue_type,
)
from chassis.observability import metrics
from chassis.observability.logs import configure
from chassis.persistence import Database
from chassis.persistence.patience import SILENCE_S, limit_silence
from chassis.persistence.schema import is_newest
from chassis.service import Consume, Every, entrypoints, load, subscriptions
from chassis.settings import Environment

_log = logging.getLogger(__name__)


def declare_topology(uri: str, service_classes: Iterable[Any], queue_type: str | None = None) -> list[Mismatch]:
    """Declare the queues of all services before any of them publishes, so that no event finds nobody.

    Args:
        uri: the bus.
        service_classes: from `load`.
        queue_type: see `fitting_queue_type`.

    Returns:
        What exists with other arguments, and stays so.
    """
    with connect(uri) as connection:
        connection.connect()
        channel = connection.channel()
        fitting = fitting_queue_type(connection, queue_type)
        found = declare_retries(channel, queue_type=fitting)
        for service_class in service_classes:
            found += declare_service(channel, service_class.name, subscriptions(service_class), fitting)
    return list(dict.fromkeys(found))


def migrate_service(name: str, environment: Environment) -> bool:
    """Bring one service's database up to date; whether there was anything to do."""
    url = environment.text(f"{name.upper()}_DATABASE_URL")
    environment.check()
    database = Database(url)
    try:
        if is_newest(database, name):
            return False
        from chassis.persistence.migrations import migrate  # with all of Alembic

        return migrate(database, name)
    finally:
        database.close()


def build_runner(service_classes: Iterable[Any]) -> ServiceRunner:
    """A nameko runner with one container per service, each with room for all it may take at once."""
    runner = ServiceRunner({"AMQP_URI": "unused: the chassis owns every connection"})
    runner.container_cls = Container
    for service_class in service_classes:
        runner.config = {**runner.config, "max_workers": _max_workers(service_class)}
        runner.add_service(service_class)
    return runner


def stop_runner(runner: ServiceRunner) -> None:
    """Stop cleanly: no new work, finish what is under way, then close; killed after the drain timeout."""
    with eventlet.Timeout(DRAIN_TIMEOUT_S + 5, False):
        runner.stop()
        return
    _log.error("work was still under way after %d s: killed", DRAIN_TIMEOUT_S)
    runner.kill()


def run(name: str, on_started: Callable[[], None] = lambda: None) -> None:
    """Run one service in this process until SIGTERM or SIGINT.

    Args:
        name: the service's.
        on_started: called when it takes messages.
    """
    configure(name, os.environ.get("PUNCHCARD_LOG_LEVEL", "INFO"))
    environment = Environment()
    metrics.serve(environment)
    migrate_service(name, environment)  # may take its time
    limit_silence(environment.integer("PUNCHCARD_DATABASE_TIMEOUT_S", SILENCE_S))
    environment.check()
    runner = build_runner([load(name)])
    stopping = eventlet.event.Event()

    def stop(_signal: int, _frame: Any) -> None:
        if not stopping.ready():
            stopping.send(None)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    runner.start()
    _log.info("%s takes messages", name)
    on_started()

    def watch() -> None:
        with contextlib.suppress(Exception):
            runner.wait()
        if not stopping.ready():
            _log.critical("%s died", name)
            os._exit(1)  # the supervisor starts a new one

    eventlet.spawn_n(watch)
    stopping.wait()
    _log.info("%s drains", name)
    stop_runner(runner)
    _log.info("%s stopped", name)


def _max_workers(service_class: Any) -> int:
    events = len(entrypoints(service_class, Consume))
    timers = len(entrypoints(service_class, Every))
    return RPC_PREFETCH + EVENT_PREFETCH * events + timers + 1
