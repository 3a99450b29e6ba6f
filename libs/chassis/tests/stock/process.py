"""The stock service as a process of its own, run as ``nameko run`` does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amqp.exceptions import NotFound
from amqp.protocol import queue_declare_ok_t
from kombu import Connection

from chassis.local_servers import free_port
from chassis.testing import wait_until

HERE = Path(__file__).parent.parent
#: Where stock nameko keeps the events for the handlers of the stock service.
SAID_QUEUE = "evt-stock-said--stock.on_said"
RENAMED_QUEUE = "evt-stock-said--stock.when_said"
POKED_QUEUE = "evt-stock-poked--stock.on_poked"
HEARD_QUEUE = "evt-echo-said.v1--stock.on_echo_said"


def shell(amqp_uri: str, *lines: str) -> str:
    """What ``nameko shell`` prints when these lines are typed into it.

    Args:
        amqp_uri: its broker.
        lines: Python; ``n`` is nameko's helper.
    """
    typed = "\n".join((*lines, "n.disconnect()", ""))
    done = subprocess.run(
        [sys.executable, "-m", "stock.command", "shell", "--broker", amqp_uri],
        cwd=HERE, input=typed, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(">>> ", "").replace("... ", "").lstrip("\n")


@dataclass
class Stock:
    """The service that shows what stock nameko does.

    Args:
        amqp_uri: where it works.
        folder: its log and its effects.
        service_class: of `stock.service`.
    """

    amqp_uri: str
    folder: Path
    service_class: str = "StockService"
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.log.touch()
        (self.folder / "effects").touch()
        with Connection(self.amqp_uri) as connection:
            for queue in ("rpc-stock", SAID_QUEUE, RENAMED_QUEUE, POKED_QUEUE, HEARD_QUEUE):
                connection.default_channel.queue_delete(queue)

    @property
    def log(self) -> Path:
        return self.folder / "stock.log"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        wait_until(lambda: self.consumers("rpc-stock") == 1, "the stock service to start")

    def launch(self) -> None:
        """Start it; it may never get as far as to answer."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stock", self.service_class, self.amqp_uri, str(self.http_port)],
                env={**os.environ, "STOCK_FOLDER": str(self.folder)},
                cwd=HERE, stdout=log, stderr=log,
            )  # fmt: skip

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self.terminate()
        self.wait()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(60)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def open_gate(self) -> None:
        """Let what is slow go on."""
        (self.folder / "gate").touch()

    def effects(self) -> list[str]:
        return (self.folder / "effects").read_text().splitlines()

    def consumers(self, queue: str) -> int:
        return self._declared(queue).consumer_count

    def waiting(self, queue: str) -> int:
        return self._declared(queue).message_count

    def _declared(self, queue: str) -> Any:
        with Connection(self.amqp_uri) as connection:
            try:
                return connection.default_channel.queue_declare(queue, passive=True)
            except NotFound:
                return queue_declare_ok_t(queue, 0, 0)
