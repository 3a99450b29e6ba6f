"""The store as separate processes on a real RabbitMQ and PostgreSQL, supervised in the foreground.

The servers are private ones of this machine unless AMQP_URI and DATABASE_URL name others. Each process gets the keys
it needs and no others, logs into a file of its own, and is started again when it dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from chassis.local_servers import PrivatePostgres, PrivateRabbit, ensure_installed, free_port, temporary_folder
from punchcard import demo_data
from punchcard.keys import kept_keys
from punchcard.parts import SERVICES, postgres_urls, webhook_url
from punchcard.reconciling import RECONCILE_EVERY, RECONCILE_EVERY_S
from punchcard.says import CannotStart, say

_READY_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30

#: The keys that each process may know.
_KEYS = {
    "accounts": ("IDENTITY_SIGNING_KEY", "ACCOUNTS_SEALING_KEY", "NOTIFICATIONS_SEALING_PUBLIC_KEY"),
    "catalog": (),
    "cart": (),
    "payments": ("PAYMENTS_PROVIDER_KEY", "PAYMENTS_WEBHOOK_SECRET"),
    "credits": ("CREDITS_SEALING_KEY", "CREDITS_CODE_PEPPER", "NOTIFICATIONS_SEALING_PUBLIC_KEY"),
    "support": (),
    "notifications": ("NOTIFICATIONS_SEALING_KEY",),
    "gateway": ("ACCOUNTS_SEALING_PUBLIC_KEY", "CREDITS_SEALING_PUBLIC_KEY"),
    "provider": ("PAYMENTS_PROVIDER_KEY", "PAYMENTS_WEBHOOK_SECRET"),
    "mailbox": (),
    "reconcile": ("IDENTITY_SIGNING_KEY", "PAYMENTS_PROVIDER_KEY"),
}

#: What counts nothing: no part of a real store; and what has its figures kept by credits.
_UNWATCHED = ("provider", "mailbox", "reconcile")


@dataclass
class Child:
    """One supervised process.

    Args:
        name: such as ``payments`` or ``payments.2``.
        command: what runs.
        environment: all it sees.
        log: where its output goes.
        metrics_port: where it shows what it counts, if it does.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    metrics_port: int | None = None
    process: subprocess.Popen[bytes] | None = None
    died_at: float | None = None

    def start(self) -> None:
        """Start it, in a session of its own so that Ctrl-C reaches the supervisor only."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  # our own command line
                self.command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self.died_at = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """SIGTERM: it finishes what is under way."""
        if self.process is not None and self.running:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait for its end; killed at the deadline."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not stop in time: killed")
            self.process.kill()
            self.process.wait()


@dataclass
class Store:
    """All processes of one store.

    Args:
        folder: keys, logs, data, ``processes.json``, ``addresses.json`` and ``demo.json``.
        port: of the gateway.
        scale: processes per service where it is not one.
        restart_after_s: how long a process that died stays away.
        environment: where servers and settings are named.
    """

    folder: Path
    port: int
    scale: Mapping[str, int]
    restart_after_s: float
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    children: list[Child] = field(default_factory=list)

    def start(self, stack: contextlib.ExitStack) -> None:
        """Start everything and wait until it answers.

        Raises:
            CannotStart: a port is taken, a step failed, or the store did not answer in time.
        """
        _check_free(self.port)
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        keys = kept_keys(self.folder / "keys.json")
        amqp_uri, database_url = self._servers(stack)
        databases = postgres_urls(database_url)
        provider, smtp, mail = free_port(), free_port(), free_port()
        base_url = f"http://127.0.0.1:{self.port}"
        shared = {
            **demo_data.REMITTANCES,
            **_inherited(self.environment),
            **databases,
            "AMQP_URI": amqp_uri,
            "IDENTITY_PUBLIC_KEY": keys["IDENTITY_PUBLIC_KEY"],
            "PAYMENTS_PROVIDER_URL": f"http://127.0.0.1:{provider}",
            "PAYMENTS_WEBHOOK_URL": self.environment.get("PAYMENTS_WEBHOOK_URL", webhook_url(base_url)),
            "NOTIFICATIONS_SMTP_URL": self.environment.get("NOTIFICATIONS_SMTP_URL", f"smtp://127.0.0.1:{smtp}"),
            "NOTIFICATIONS_SENDER": self.environment.get("NOTIFICATIONS_SENDER", "Punchcard <store@punchcard.example>"),
            "PUNCHCARD_PUBLIC_URL": base_url,
            "GATEWAY_BIND": f"127.0.0.1:{self.port}",
        }
        _write_private(
            self.folder / "addresses.json",
            {"AMQP_URI": amqp_uri, "PAYMENTS_PROVIDER_URL": shared["PAYMENTS_PROVIDER_URL"]},
        )
        self._step("migrate", shared)
        self._step("topology", shared)
        demo_data.write(
            {**shared, **keys}, self.folder / "demo.json", base_url,
            provider_url=shared["PAYMENTS_PROVIDER_URL"], mail_url=f"http://127.0.0.1:{mail}/dev/mail",
        )  # fmt: skip
        stack.callback(self.stop)
        self._plan(shared, keys, provider, smtp, mail)
        for child in self.children:
            child.start()
        self.note()
        self.wait_ready(base_url)

    def supervise_once(self) -> None:
        """Start again what died, once it has stayed away long enough."""
        for child in self.children:
            if child.running:
                continue
            if child.died_at is None:
                child.died_at = time.monotonic()
                status = child.process.returncode if child.process else None
                say(f"{child.name} ended ({status}); starts again in {self.restart_after_s:g} s; see {child.log}")
            elif time.monotonic() - child.died_at >= self.restart_after_s:
                child.start()
                say(f"{child.name} started again")
                self.note()

    def stop(self) -> None:
        """Stop the gateway, then the services, then the rest; each finishes what is under way."""
        say("stopping: finishing what is under way")
        last = {"provider", "mailbox"}
        groups = (
            [child for child in self.children if child.name.startswith("gateway")],
            [child for child in self.children if not child.name.startswith("gateway") and child.name not in last],
            [child for child in self.children if child.name in last],
        )
        for group in groups:
            for child in group:
                child.ask_to_stop()
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            for child in group:
                child.wait(deadline)

    def _servers(self, stack: contextlib.ExitStack) -> tuple[str, str]:
        amqp_uri, database_url = self.environment.get("AMQP_URI"), self.environment.get("DATABASE_URL")
        if not amqp_uri or not database_url:
            ensure_installed()
            data = stack.enter_context(_server_data(self.folder))
        if not database_url:
            say("starting a private PostgreSQL")
            postgres = PrivatePostgres(data / "postgresql")
            stack.callback(postgres.stop)
            postgres.start()
            database_url = postgres.local_url()
        if not amqp_uri:
            say("starting a private RabbitMQ")
            rabbit = PrivateRabbit(data / "rabbitmq")
            stack.callback(rabbit.stop)
            rabbit.start()
            amqp_uri = rabbit.uri
        return amqp_uri, database_url

    def _step(self, command: str, environment: Mapping[str, str]) -> None:
        say(f"{command} …")
        done = subprocess.run(  # noqa: S603  # our own command line
            [sys.executable, "-m", "punchcard", command], env=dict(environment), capture_output=True, text=True
        )
        if done.returncode != 0:
            raise CannotStart(f"punchcard {command} failed:\n{done.stderr.strip()[-2000:]}")

    def _plan(self, shared: Mapping[str, str], keys: Mapping[str, str], provider: int, smtp: int, mail: int) -> None:
        python = sys.executable
        commands = {
            "provider": [python, "-m", "payments.offline_provider", "--port", str(provider),
                         "--book", str(self.folder / "provider.db")],
            "mailbox": [python, "-m", "punchcard.mailbox", "--folder", str(self.folder / "mail"),
                        "--smtp-port", str(smtp), "--http-port", str(mail)],
            **{name: [python, "-m", "punchcard", "service", name] for name in SERVICES},
            "gateway": [python, "-m", "gunicorn", "-c", "python:gateway.gunicorn_conf"],
        }  # fmt: skip
        every_s = self.environment.get(RECONCILE_EVERY, RECONCILE_EVERY_S)
        if every_s != "0":
            commands["reconcile"] = [python, "-m", "punchcard", "reconcile", "--every", every_s]
        for name, command in commands.items():
            environment = {**_only_own(name, shared), **{key: keys[key] for key in _KEYS[name]}}
            for number in range(1, self.scale.get(name, 1) + 1):
                full = name if number == 1 else f"{name}.{number}"
                extra = {"GATEWAY_REUSE_PORT": "1"} if name == "gateway" and self.scale.get(name, 1) > 1 else {}
                log = self.folder / "logs" / f"{full}.log"
                metrics = None if name in _UNWATCHED else free_port()
                if metrics is not None:
                    extra["PUNCHCARD_METRICS_PORT"] = str(metrics)
                self.children.append(Child(full, command, {**environment, **extra}, log, metrics))

    def wait_ready(self, base_url: str) -> None:
        """Wait until every service answers.

        Raises:
            CannotStart: a process ended meanwhile, or the store did not answer in time.
        """
        say("waiting for every service to answer …")
        deadline = time.monotonic() + _READY_TIMEOUT_S
        answer = "no answer yet"
        while time.monotonic() < deadline:
            for child in self.children:
                if not child.running:
                    raise CannotStart(f"{child.name} ended while starting; see {child.log}")
            try:
                response = requests.get(f"{base_url}/readyz", timeout=5)
                if response.status_code == 200:
                    return
                answer = response.text
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise CannotStart(f"The store does not answer after {_READY_TIMEOUT_S} s: {answer}")

    def note(self) -> None:
        """Write down which processes there are now."""
        known = [
            {
                "name": child.name,
                "pid": child.process.pid,
                "log": str(child.log),
                **({"metrics": f"http://127.0.0.1:{child.metrics_port}/metrics"} if child.metrics_port else {}),
            }
            for child in self.children
            if child.process is not None
        ]
        file = self.folder / "processes.json"
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(known, indent=2) + "\n")
        fresh.replace(file)


def run(folder: Path, port: int, scale: Mapping[str, int], restart_after_s: float) -> int:
    """Run the store until Ctrl-C or SIGTERM; 0 after a clean stop.

    Args:
        folder: what it keeps.
        port: of the gateway.
        scale: processes per service.
        restart_after_s: how long a process that died stays away.

    Raises:
        CannotStart: says why and what to do.
        ServerError: RabbitMQ or PostgreSQL is missing or did not start.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    store = Store(folder, port, scale, restart_after_s)
    with contextlib.ExitStack() as stack:
        store.start(stack)
        say(f"\n  Punchcard is open at http://127.0.0.1:{port}")
        say(f"  sign-in and addresses: {folder / 'demo.json'}; processes: {folder / 'processes.json'}")
        say(f"  logs: {folder / 'logs'}; Ctrl-C stops\n")
        while not stopping.wait(0.2):
            store.supervise_once()
    return 0


def addresses(folder: Path) -> dict[str, str]:
    """What a command needs to ask a running store, by the name of the environment variable: addresses and keys.

    Args:
        folder: of a running `punchcard services`; nothing is known of one where none runs.
    """
    known: dict[str, str] = {}
    for name in ("keys.json", "addresses.json"):
        if (folder / name).exists():
            known |= json.loads((folder / name).read_text())
    return known


def _write_private(file: Path, values: Mapping[str, str]) -> None:
    """Write a file that only its owner may read: the broker's address has a password in it."""
    file.touch(mode=0o600)
    file.write_text(json.dumps(values, indent=2) + "\n")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStart(f"Port {port} is taken. Choose another one: make services PORT={port + 1}") from error


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR")
    prefixes = ("PUNCHCARD_", *(f"{name.upper()}_" for name in (*SERVICES, "gateway")))
    return {
        name: value for name, value in environment.items() if name in names or name.startswith(prefixes)
    }  # fmt: skip


def _only_own(name: str, shared: Mapping[str, str]) -> dict[str, str]:
    """What all share, less the databases of the others."""
    own = f"{name.upper()}_DATABASE_URL"
    return {key: value for key, value in shared.items() if not key.endswith("_DATABASE_URL") or key == own}


@contextlib.contextmanager
def _server_data(folder: Path) -> Iterator[Path]:
    """Where the private servers keep their data: in `folder`, or elsewhere if PostgreSQL's user cannot reach that."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
        yield folder
        return
    with temporary_folder("services") as elsewhere:
        say(f"{folder} cannot be reached by PostgreSQL's user: its data is in {elsewhere}, gone at the end")
        yield elsewhere
