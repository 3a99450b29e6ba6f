"""Runs both pairs of processes in turn."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import children
from benchmarks.outbox import load
from chassis.identity import public_key_of
from chassis.local_servers import PrivatePostgres, PrivateRabbit
from chassis.sealing import new_key

#: Events in one repetition: some seconds of each.
EVENTS = {"ours": 1500, "bare": 1000}
#: Events one at a time, for the delay on an idle system.
SINGLE = 200
REPETITIONS = 5
#: Not counted: connections, caches, code paths.
_WARM_UP = 100
_DATABASES = {
    "MAKER_DATABASE_URL": "outbox_maker", "TAKER_DATABASE_URL": "outbox_taker",
    "BARE_MAKER_DATABASE_URL": "bare_maker", "BARE_TAKER_DATABASE_URL": "bare_taker",
}  # fmt: skip
_SERVERS = ("ours_taker", "ours_maker", "bare_taker")


@dataclass
class Outbox:
    """What was measured.

    Args:
        rates: by variant: events a second of each repetition.
        delays_s: from commit to effect, one event at a time on an idle system.
    """

    rates: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "bare": []})
    delays_s: list[float] = field(default_factory=list)


def measure(
    rabbit: PrivateRabbit, postgres: PrivatePostgres, folder: Path, quick: bool, say: Callable[[str], None]
) -> Outbox:
    """Measure both, interleaved, so that a busy moment of the machine hits each of them alike.

    Args:
        rabbit, postgres: running.
        folder: for logs.
        quick: one short repetition, to see that it works.
        say: told what is under way.
    """
    environment = {
        **os.environ,
        **_databases(postgres),
        "AMQP_URI": rabbit.uri,
        "IDENTITY_PUBLIC_KEY": public_key_of(new_key()),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "services"), os.environ.get("PYTHONPATH", "")]),
    }
    share = 10 if quick else 1
    found = Outbox()
    with contextlib.ExitStack() as stack:
        for module in _SERVERS:
            log = folder / f"{module}.log"
            stack.enter_context(children.running([f"benchmarks.outbox.{module}"], environment, log))
        ours, bare = _Ours(environment), _Bare(environment)
        ours.run(_WARM_UP, 0)
        bare.run(_WARM_UP)
        for repetition in range(1 if quick else REPETITIONS):
            say(f"outbox: repetition {repetition + 1}")
            for variant, run in (("ours", lambda count: ours.run(count, 0)), ("bare", bare.run)):
                count = EVENTS[variant] // share
                found.rates[variant].append(count / run(count)["seconds"])
            found.delays_s += ours.run(SINGLE // share, load.PAUSE_MS)["delays_s"]
    return found


class _Ours:
    """Runs of the maker; each event has a number of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._next = 1

    def run(self, count: int, pause_ms: int) -> Any:
        words = [str(number) for number in (count, self._next, pause_ms)]
        self._next += count
        return children.ask(["benchmarks.outbox.ours_client", *words], self._environment, 2 * load.TIMEOUT_S)


class _Bare:
    """Runs of the bare loop."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def run(self, count: int) -> Any:
        return children.ask(["benchmarks.outbox.bare_maker", str(count)], self._environment, 2 * load.TIMEOUT_S)


def _databases(postgres: PrivatePostgres) -> dict[str, str]:
    engine = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for name in _DATABASES.values():
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    return {variable: postgres.url(name) for variable, name in _DATABASES.items()}
