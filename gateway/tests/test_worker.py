"""Slow clients are cut."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

from gateway import worker
from gateway.worker import Worker


class Connection:
    """As much of gunicorn's as is looked at."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


@pytest.fixture
def ours() -> Worker:
    return Worker(1, 1, [], SimpleNamespace(), 30, Config(), SimpleNamespace())


def test_client_that_takes_too_long_is_cut_and_others_are_not(ours: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread reads from a client that sends nothing; the main loop's turn ends that, but only after the limit."""
    here, there = socket.socketpair()
    conn = Connection(here)
    reading, received = threading.Event(), []

    def read(_: Any, conn: Any) -> None:
        reading.set()
        received.append(conn.sock.recv(1))

    monkeypatch.setattr(ThreadWorker, "handle", read)
    thread = threading.Thread(target=ours.handle, args=(conn,))
    thread.start()
    assert reading.wait(10)
    ours.murder_keepalived()
    assert thread.is_alive()
    started = time.monotonic()
    monkeypatch.setattr(worker.time, "monotonic", lambda: started + worker.LONGEST_S + 1)
    ours.murder_keepalived()
    thread.join(10)
    assert received == [b""]
    assert ours._busy == {}
    here.close()
    there.close()
