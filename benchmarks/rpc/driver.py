"""What the three clients have in common: what they send, how it is counted and how they report."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

#: About 200 bytes, as the arguments of most calls of the store.
PAYLOAD = "The quick brown fox jumps over the lazy dog. " * 4 + "And then it sleeps."

#: Makes this many concurrent callers do this many calls each, and waits for all of them.
Callers = Callable[[int, int], None]


def uri() -> str:
    """The broker's; it holds a password, so it comes by the environment."""
    return os.environ["AMQP_URI"]


def calls(call: Callable[[str], str], count: int) -> None:
    """What one caller does: `count` calls, one after the other, each answer checked."""
    for _ in range(count):
        check(call(PAYLOAD))


def check(answer: str) -> None:
    """Nothing that is measured may be wrong."""
    if answer != PAYLOAD:
        raise ValueError("the echo answered something else")


def report(*measured: tuple[int, Callers]) -> None:
    """Measure and print round trips a second by concurrency, as JSON.

    The command line says how many calls to make at each concurrency, such as ``1:500 50:1000``.

    Args:
        measured: concurrency and what makes its calls.
    """
    plan = (word.split(":") for word in sys.argv[1:])
    counts = {int(concurrency): int(count) for concurrency, count in plan}
    rates = {}
    for concurrency, callers in measured:
        each = max(1, counts[concurrency] // concurrency)
        callers(concurrency, max(1, each // 10))  # connections, caches, code paths: not what is measured
        began = time.perf_counter()
        callers(concurrency, each)
        rates[concurrency] = concurrency * each / (time.perf_counter() - began)
    print(json.dumps(rates), flush=True)
