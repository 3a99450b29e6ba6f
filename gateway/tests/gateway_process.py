"""The gateway as a process of its own, as tests start it: without a bus."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from gateway_fakes import ACCOUNTS, CREDITS

ENVIRONMENT = {
    "ACCOUNTS_SEALING_PUBLIC_KEY": ACCOUNTS.public_key,
    "CREDITS_SEALING_PUBLIC_KEY": CREDITS.public_key,
    "AMQP_URI": "amqp://nobody@127.0.0.1:1//",  # no bus: the process must live all the same
    "GATEWAY_HEALTH_TIMEOUT_S": "1",
    "GATEWAY_RPC_TIMEOUT_S": "1",
    "GATEWAY_THREADS": "4",
}


class Process:
    """A running gateway."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self.log = log

    def raw(self, request: bytes) -> bytes:
        """Send bytes and read until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """What the other side sends until it closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Process]:
    """A gateway that has answered once.

    Args:
        folder: for its log.
        settings: more of its environment.
    """
    log = folder / "gateway.log"
    with socket.socket() as listener, log.open("wb") as written:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        os.set_inheritable(listener.fileno(), True)
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "python:gateway.gunicorn_conf"],
            env={**os.environ, **ENVIRONMENT, "GATEWAY_BIND": f"fd://{listener.fileno()}", **settings},
            pass_fds=[listener.fileno()], stderr=written, stdout=written,
        )  # fmt: skip
        found = Process(listener.getsockname()[1], process, log)
    try:
        # the socket listens already, so the first request waits in its queue until a worker takes it
        assert requests.get(f"{found.url}/healthz", timeout=60).json() == {"status": "ok"}, log.read_text()
        yield found
    finally:
        process.kill()
        process.wait()
