"""Runs the three pairs of processes in turn."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from benchmarks import children
from chassis.identity import public_key_of
from chassis.sealing import new_key

#: Calls in one repetition, by concurrency: about two seconds of each.
CALLS = {"ours": {1: 1500, 50: 3000}, "stock": {1: 800, 50: 2000}, "raw": {1: 4000, 50: 10000}}
REPETITIONS = 5
_CLIENT_TIMEOUT_S = 60

#: By variant, by concurrency: round trips a second of each repetition.
Rates = dict[str, dict[int, list[float]]]


def measure(amqp_uri: str, folder: Path, quick: bool, say: Callable[[str], None]) -> Rates:
    """Measure all three, interleaved, so that a busy moment of the machine hits each of them alike.

    Args:
        amqp_uri: a broker.
        folder: for logs and the echo service's database.
        quick: one short repetition, to see that it works.
        say: told what is under way.
    """
    environment = {
        **os.environ,
        "AMQP_URI": amqp_uri,
        "ECHO_DATABASE_URL": f"sqlite:///{folder / 'echo.db'}",
        "IDENTITY_PUBLIC_KEY": public_key_of(new_key()),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "services"), os.environ.get("PYTHONPATH", "")]),
    }
    rates: Rates = {variant: {concurrency: [] for concurrency in plan} for variant, plan in CALLS.items()}
    with contextlib.ExitStack() as stack:
        for variant in CALLS:
            log = folder / f"{variant}.log"
            stack.enter_context(children.running([f"benchmarks.rpc.{variant}_server"], environment, log))
        for repetition in range(1 if quick else REPETITIONS):
            say(f"RPC: repetition {repetition + 1}")
            for variant in CALLS:
                for concurrency, rate in _client(variant, environment, quick).items():
                    rates[variant][int(concurrency)].append(rate)
    return rates


def _client(variant: str, environment: dict[str, str], quick: bool) -> dict[str, float]:
    share = 10 if quick else 1
    plan = [f"{concurrency}:{calls // share}" for concurrency, calls in CALLS[variant].items()]
    rates: dict[str, float] = children.ask([f"benchmarks.rpc.{variant}_client", *plan], environment, _CLIENT_TIMEOUT_S)
    return rates
