"""Where the CPU time of a checkout goes: each process sampled by py-spy, each sample counted for a hop."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.children import BenchmarkError
from benchmarks.store.measure import Shop

CONCURRENCY = 8
CHECKOUTS = 320
_SAMPLES_A_SECOND = 100
_START_S = 2.0
_NOT_PYTHON = ("RabbitMQ", "PostgreSQL", "mailbox", "load")

#: Hop and what stands in the file of a frame that belongs to it. The innermost frame that belongs to one decides.
_HOPS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (hop, re.compile(pattern))
    for hop, pattern in (
        ("logging", r"\blogging/|chassis/observability"),
        ("schemas", r"\b(marshmallow|webargs|apispec)/|chassis/messages"),
        ("rendering", r"\bjinja2/|<template>|notifications/(rendering|mail|templates)"),
        ("SMTP", r"\bsmtplib|notifications/transports"),
        ("SQL", r"\b(sqlalchemy|psycopg2|sqlite3)/|psycopg2_patcher|chassis/persistence|offline_provider/book"),
        ("HTTP out", r"\b(requests|urllib3)/|\bhttp/client|payments/providers"),
        ("sealing, signatures", r"\b(nacl|argon2|cryptography)/|chassis/(sealing|identity)"),
        ("RPC", r"chassis/(rpc/|bus|container)"),
        ("framing, events, relay", r"\b(amqp|kombu|vine)/|chassis/messaging"),
        ("HTTP in", r"\b(gunicorn|werkzeug|flask|flask_smorest)/|\bhttp/server|socketserver|gateway/"),
        ("rules and use cases", r"/(use_cases|domain)/|\bkernel/|/storage\.py|/service\.py"),
    )
)
_LOOP = "event loop, threads"
_OF_LOOP = re.compile(r"\b(eventlet|greenlet|nameko|concurrent)/|\bthreading|\bqueue")
_FRAME = re.compile(r".* \((?P<file>.*)\)")
OTHER = "everything else"
NOT_SAMPLED = "not sampled"

#: Milliseconds a checkout, by process and hop.
Profile = dict[str, dict[str, float]]


def profile(shop: Shop, folder: Path) -> Profile:
    """Run checkouts and say what each process did meanwhile.

    CPU time is the system's account of it; the samples, of whichever thread holds the interpreter's lock, say how to
    divide it among hops. Sampling costs time itself, so the sums are above those of an ordinary run: what counts are
    the shares.

    Args:
        shop: running.
        folder: for the samples.

    Raises:
        BenchmarkError: py-spy may not look at our processes.
    """
    sampled = [name for name in shop.store.processes if name not in _NOT_PYTHON]
    with _watching({name: shop.store.processes[name] for name in sampled}, folder):
        batch = shop.batch(CONCURRENCY, CHECKOUTS)
    found: Profile = {}
    for name, seconds in batch.cpu_s.items():
        if name in sampled:
            shares = hops_of((folder / f"{name}.samples").read_text().splitlines())
            found[name] = {hop: share * seconds * 1000 for hop, share in shares.items()}
        elif name != "mailbox":
            found[name] = {NOT_SAMPLED: seconds * 1000}
    return found


def hops_of(samples: Iterable[str]) -> dict[str, float]:
    """The share of each hop.

    Args:
        samples: lines of py-spy's raw format: frames, outermost first, separated by semicolons, and a count.
    """
    counts: Counter[str] = Counter()
    for line in samples:
        stack, _, count = line.rpartition(" ")
        counts[_hop_of(stack.split(";"))] += int(count)
    return {hop: count / counts.total() for hop, count in counts.items()}


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Milliseconds a checkout, a row a hop, a column a process."""
    hops = [*(hop for hop, _ in _HOPS), _LOOP, OTHER, NOT_SAMPLED]
    head = ["ms a checkout", *found, "together"]
    rows = {hop: [found[name].get(hop, 0.0) for name in found] for hop in hops}
    rows["= together"] = [sum(found[name].values()) for name in found]
    cells = [head, *([hop, *(f"{value:.2f}" for value in (*row, sum(row)))] for hop, row in rows.items())]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not column else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in cells
    )  # fmt: skip


def _hop_of(frames: list[str]) -> str:
    files = [found["file"] if (found := _FRAME.fullmatch(frame)) else frame for frame in reversed(frames)]
    for file in files:
        for hop, pattern in _HOPS:
            if pattern.search(file):
                return hop
    # whoever waits does so in the event loop, so it comes last
    return _LOOP if any(map(_OF_LOOP.search, files)) else OTHER


@contextlib.contextmanager
def _watching(processes: Mapping[str, int], folder: Path) -> Iterator[None]:
    """py-spy on each of them, with their children, from the beginning to the end of the block."""
    py_spy = Path(sys.executable).with_name("py-spy")
    watchers = {
        name: subprocess.Popen(
            [py_spy, "record", "--gil", "--nonblocking", "--subprocesses", "--nolineno", "--format", "raw",
             "--rate", str(_SAMPLES_A_SECOND), "--duration", "3600", "--output", folder / f"{name}.samples",
             "--pid", str(pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for name, pid in processes.items()
    }  # fmt: skip
    try:
        time.sleep(_START_S)
        yield
    finally:
        for watcher in watchers.values():
            watcher.send_signal(signal.SIGINT)
        said = {name: watcher.communicate()[1].decode() for name, watcher in watchers.items()}
    for name in processes:
        if not (folder / f"{name}.samples").exists():
            raise BenchmarkError(f"py-spy could not look at {name} (it needs the right to trace): {said[name][-300:]}")
