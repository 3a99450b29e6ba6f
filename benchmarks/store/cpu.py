"""CPU time of processes and all that they have started."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import psutil  # type: ignore[import-untyped]  # it publishes no types


def spent(processes: Mapping[str, int]) -> dict[str, float]:
    """Seconds of user and system time so far, by name.

    Args:
        processes: names and process ids. Each counts with its descendants, those that have ended included.
    """
    return {name: _of_tree(psutil.Process(pid)) for name, pid in processes.items()} | {"load": _own()}


def _of_tree(root: psutil.Process) -> float:
    seconds = 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended: its parent has its time
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _own() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
