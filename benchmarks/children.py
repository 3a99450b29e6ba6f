"""Processes that this one starts, each ended by its process id whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it publishes no types

ROOT = Path(__file__).parent.parent
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 90


class BenchmarkError(Exception):
    """Something did not work, so there is no figure."""


@contextlib.contextmanager
def running(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, sign: str = "ready"
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module as a process, from when it says that it is ready; stopped at the end.

    Args:
        arguments: what follows ``python -m``.
        environment: all that it sees.
        log: where its standard error goes.
        sign: what it prints once it is ready.

    Raises:
        BenchmarkError: it did not get ready.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=dict(environment), cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
        )  # fmt: skip
    try:
        if not _says(process, sign.encode()):
            raise BenchmarkError(f"{' '.join(arguments)} did not start: {_tail(log)}")
        yield process
    finally:
        _stop(process)


def ask(arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Any:
    """Run a Python module to its end; the JSON that it printed.

    Args:
        arguments: what follows ``python -m``.
        environment: all that it sees.
        timeout_s: it is killed after this many seconds.

    Raises:
        BenchmarkError: it failed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            env=dict(environment), cwd=ROOT, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{' '.join(arguments)} took more than {timeout_s:g} s") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(arguments)} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def _says(process: subprocess.Popen[bytes], sign: bytes) -> bool:
    assert process.stdout is not None
    deadline = time.monotonic() + _START_TIMEOUT_S
    heard = b""
    while sign not in heard:
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        more = os.read(process.stdout.fileno(), 65536) if readable else b""
        if not more:
            return False  # too late, or it has ended
        heard += more
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        started = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for left_over in started:
            with contextlib.suppress(psutil.NoSuchProcess):  # psutil does not take a new process for the old one
                left_over.kill()
    if process.stdout is not None:
        process.stdout.close()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-2000:]
