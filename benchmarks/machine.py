"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it publishes no types
from kombu import Connection

from chassis.local_servers import PrivateRabbit, find_postgresql


def describe(rabbit: PrivateRabbit) -> str:
    """The machine in one line.

    Args:
        rabbit: running.
    """
    with Connection(rabbit.uri) as connection:
        connection.connect()
        broker = connection.connection.server_properties["version"]
    return (
        f"{os.cpu_count()} cores ({_processor()}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, RabbitMQ {broker}, PostgreSQL {_postgresql()}"
    )


def busy() -> float:
    """How busy all cores together are at the moment, in percent: what others do here disturbs the figures."""
    return float(psutil.cpu_percent(interval=2))


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _postgresql() -> str:
    folder = find_postgresql()
    if folder is None:
        return "absent"
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
    found = re.search(r"\d+(\.\d+)*", said)
    return found[0] if found else said.strip()
