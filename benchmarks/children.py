"""Processes that this one starts, each ended by its process id whatever happens."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_READY_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 60


class BenchmarkError(Exception):
    """Something did not work, so there is no figure."""


@contextlib.contextmanager
def running(module: str, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python module as a process that prints ``ready`` when it is; stopped at the end.

    Args:
        module: what ``python -m`` runs.
        environment: all that it sees.
        log: where its standard error goes.

    Raises:
        BenchmarkError: it did not get ready.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=dict(environment), cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        heard, _, _ = select.select([process.stdout], [], [], _READY_TIMEOUT_S)
        if not heard or process.stdout.readline().strip() != "ready":
            raise BenchmarkError(f"{module} did not start: {tail(log)}")
        yield process
    finally:
        stop(process)


def ask(module: str, arguments: list[str], environment: Mapping[str, str], timeout_s: float) -> Any:
    """Run a Python module to its end; the JSON that it printed.

    Args:
        module, arguments: what ``python -m`` runs.
        environment: all that it sees.
        timeout_s: it is killed after this many seconds.

    Raises:
        BenchmarkError: it failed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=dict(environment), cwd=ROOT, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{module} took more than {timeout_s:g} s") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{module} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def stop(process: subprocess.Popen[Any]) -> None:
    """SIGTERM, time to finish, and then SIGKILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def tail(log: Path) -> str:
    """The last words of a process."""
    return log.read_text(errors="replace").strip()[-2000:]
