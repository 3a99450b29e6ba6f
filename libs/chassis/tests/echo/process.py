"""The echo service as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from chassis.identity import public_key_of
from chassis.persistence import Database
from chassis.sealing import new_key
from chassis.testing import wait_until

HERE = Path(__file__).parent.parent
#: As `punchcard service` begins.
_START = """
from chassis.importing import importing
with importing():
    from chassis.runner import run
    from chassis.service import load
    load("echo")
"""


@dataclass
class Echo:
    """The service under test.

    Args:
        amqp_uri, database_url: where it works.
        log: its output.
        prelude: Python that runs in its process before the service starts.
        settings: more of its environment.
    """

    amqp_uri: str
    database_url: str
    log: Path
    signing_key: str = field(default_factory=new_key)
    process: subprocess.Popen[bytes] | None = None
    prelude: str = "pass"
    settings: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        environment = {
            **os.environ,
            "AMQP_URI": self.amqp_uri,
            "ECHO_DATABASE_URL": self.database_url,
            "IDENTITY_PUBLIC_KEY": public_key_of(self.signing_key),
            "PUNCHCARD_RETRY_DELAYS_S": "1,1",
            "PYTHONPATH": str(HERE),
            **self.settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"{_START}{self.prelude}; run('echo')"],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(lambda: "takes messages" in self.log.read_text(), "the echo service to start")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(40)
        self.log.write_text("")
        return code

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.log.write_text("")

    def rows(self, query: str) -> list[tuple[object, ...]]:
        database = Database(self.database_url)
        with database.reading() as reader:
            found = [tuple(row) for row in reader.execute(sa.text(query))]
        database.close()
        return found

    def effects(self) -> list[str]:
        return [str(row[0]) for row in self.rows("SELECT what FROM effect ORDER BY id")]
