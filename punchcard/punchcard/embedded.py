"""The whole store in one process: SQLite, an in-memory bus, the offline provider, mails into a folder.

Everything it keeps is in one folder. The bus forgets on exit; at the next start each relay offers its recent outbox
again and the inboxes drop what was handled, so that nothing is lost and nothing happens twice.
"""

# chassis.runner patches the standard library before anything opens a socket
from __future__ import annotations

from chassis import runner

# isort: split

import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import eventlet
import eventlet.wsgi

from chassis.observability import logs, metrics
from chassis.rpc import RpcClient
from chassis.service import load
from chassis.settings import Environment
from gateway.app import create_app
from gateway.identities import IdentityCache
from gateway.settings import read as read_gateway_settings
from gateway.wsgi import listen
from payments.offline_provider import Target
from payments.offline_provider import create_app as create_provider
from punchcard import demo_data
from punchcard.keys import kept_keys
from punchcard.mailbox import create_app as create_mailbox
from punchcard.parts import SERVICES, sqlite_urls, webhook_url
from punchcard.reconcile import Book, ProviderBook, StaffClient
from punchcard.reconciling import RECONCILE_EVERY, RECONCILE_EVERY_S, keep_reconciling
from punchcard.says import CannotStart, say

_log = logging.getLogger(__name__)

_CLASSES = [load(name) for name in SERVICES]

Wsgi = Callable[[dict[str, Any], Any], Any]


def run(folder: Path, port: int) -> None:
    """Run the store in the foreground until Ctrl-C or SIGTERM.

    Args:
        folder: where it keeps everything; made if missing.
        port: where it listens on 127.0.0.1.

    Raises:
        CannotStart: the port or the folder is in use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder), contextlib.ExitStack() as stack:
        site = _listen(port)
        provider = _listen(0)
        base_url = f"http://127.0.0.1:{port}"
        provider_url = f"http://127.0.0.1:{provider.getsockname()[1]}"
        keys = kept_keys(folder / "keys.json")
        os.environ.update(
            {
                **{name: os.environ.get(name, value) for name, value in demo_data.REMITTANCES.items()},
                **sqlite_urls(folder),
                **keys,
                "AMQP_URI": "memory://",
                "PAYMENTS_PROVIDER_URL": provider_url,
                "NOTIFICATIONS_SMTP_URL": f"folder://{folder / 'mail'}",
                "NOTIFICATIONS_SENDER": os.environ.get("NOTIFICATIONS_SENDER", "Punchcard <store@punchcard.example>"),
                "PUNCHCARD_PUBLIC_URL": base_url,
            }
        )
        logs.configure("embedded", os.environ.get("PUNCHCARD_LOG_LEVEL", "WARNING"))
        for name in SERVICES:
            if runner.migrate_service(name, Environment()):
                say(f"database of {name}: brought up to date")
        demo = demo_data.write(os.environ, folder / "demo.json", base_url, provider_url=provider_url)
        metrics.serve(Environment())
        webhooks = Target(webhook_url(base_url), keys["PAYMENTS_WEBHOOK_SECRET"])
        bank = create_provider(folder / "provider.db", keys["PAYMENTS_PROVIDER_KEY"], webhooks=webhooks)
        _serve(provider, bank)
        _start_services(stack)
        _serve(site, _site(folder, stack))
        _reconcile(stack, keys, ProviderBook(provider_url, keys["PAYMENTS_PROVIDER_KEY"]))
        bank.extensions["courier"].start()
        stack.callback(bank.extensions["courier"].stop)
        _greet(demo, folder)
        _wait_for_signal()
        say("\nstopping: finishing what is under way")
        site.close()


def _start_services(stack: contextlib.ExitStack) -> None:
    runner.declare_topology("memory://", _CLASSES)
    services = runner.build_runner(_CLASSES)
    services.start()
    stack.callback(runner.stop_runner, services)


def _site(folder: Path, stack: contextlib.ExitStack) -> Wsgi:
    settings = read_gateway_settings(Environment())
    rpc = RpcClient("memory://", "gateway")
    identities = IdentityCache(settings.identity_lifetime_s)
    broadcast = listen(identities, "memory://")
    rpc.start()
    broadcast.start()
    stack.callback(rpc.stop)
    stack.callback(broadcast.stop)
    store = create_app(settings, rpc, identities)
    mailbox = create_mailbox(folder / "mail")

    def site(environ: dict[str, Any], start_response: Any) -> Any:
        part: Wsgi = mailbox if environ.get("PATH_INFO", "").startswith("/dev/") else store
        return part(environ, start_response)

    return site


def _reconcile(stack: contextlib.ExitStack, keys: Mapping[str, str], book: Book) -> None:
    every_s = Environment().integer(RECONCILE_EVERY, int(RECONCILE_EVERY_S), minimum=0)
    if not every_s:
        return
    client = RpcClient("memory://", "reconcile")
    client.start()
    stack.callback(client.stop)

    def wait(seconds: float) -> bool:
        eventlet.sleep(seconds)
        return False

    staff = StaffClient(client, keys["IDENTITY_SIGNING_KEY"])
    eventlet.spawn_n(keep_reconciling, staff, wait, every_s=every_s, patience_s=30.0, book=book)


def _serve(listener: Any, application: Wsgi) -> None:
    quiet = logging.getLogger("eventlet.wsgi")
    quiet.setLevel(logging.WARNING)  # the gateway writes its own access log
    eventlet.spawn_n(
        eventlet.wsgi.server, listener, application, log=quiet, log_output=False, debug=False, socket_timeout=30
    )


def _listen(port: int) -> Any:
    try:
        return eventlet.listen(("127.0.0.1", port), backlog=128, reuse_port=False)
    except OSError as error:
        raise CannotStart(f"Port {port} is taken. Choose another one: make run PORT={port + 1}") from error


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart(f"Another store already runs on {folder}. Stop it first.") from error
        yield


def _wait_for_signal() -> None:
    stopping = eventlet.event.Event()

    def stop(_signal: int, _frame: Any) -> None:
        if stopping.ready():
            os._exit(130)  # asked twice: at once; what is committed is safe
        stopping.send(None)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    stopping.wait()


def _greet(demo: dict[str, Any], folder: Path) -> None:
    lines = [
        "",
        f"  Punchcard is open at {demo['base_url']}",
        f"    reference   {demo['base_url']}/docs",
        f"    mails       {demo['base_url']}/dev/mail",
        "",
        f"  sign in (password {demo_data.PASSWORD}):",
        *(f"    {user['email']:<24} {user['role']:<8} {user['organization']}" for user in demo["users"]),
        "",
        f"  API key ({demo['api_keys'][0]['organization']}): {demo['api_keys'][0]['key']}",
        f"  all of this is in {folder / 'demo.json'}; `make demo` in a second terminal walks through a purchase",
        "  Ctrl-C stops",
        "",
    ]
    say("\n".join(lines))
    sys.stdout.flush()
