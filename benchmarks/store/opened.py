"""The store as processes: started, given customers, stopped."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accounts.bootstrap import bootstrap
from accounts.use_cases.register_organization import register_organization
from accounts.use_cases.register_user import register_user
from benchmarks import children
from chassis.local_servers import PrivatePostgres, PrivateRabbit, free_port
from chassis.service import Runtime
from chassis.settings import Environment
from punchcard.keys import kept_keys
from punchcard.parts import postgres_urls

PASSWORD = "only-for-benchmarks"
_FIRST_NUMBER = 5000


@dataclass(frozen=True)
class Store:
    """A store that takes orders.

    Args:
        base_url: where.
        folder: what it keeps.
        card_token: a card that pays.
        emails: of customers, each of an organisation of its own, with `PASSWORD`.
        processes: name and process id of everything that works for it.
    """

    base_url: str
    folder: Path
    card_token: str
    emails: list[str]
    processes: Mapping[str, int]

    def check_alive(self) -> None:
        """No process has been started again, since its CPU time would have begun at 0.

        Raises:
            BenchmarkError: one has.
        """
        if any(self.processes[name] != pid for name, pid in _known(self.folder).items()):
            raise children.BenchmarkError(f"a process ended on the way; see {self.folder / 'logs'}")


@contextlib.contextmanager
def opened(
    folder: Path, rabbit: PrivateRabbit, postgres: PrivatePostgres, smtp_url: str, customers: int
) -> Iterator[Store]:
    """``punchcard services`` on these servers, until the end of the block.

    Args:
        folder: what it keeps.
        rabbit, postgres: running.
        smtp_url: takes the mails.
        customers: how many.
    """
    folder.mkdir()
    servers = {"AMQP_URI": rabbit.uri, "DATABASE_URL": postgres.local_url()}
    # the provider's webhooks repeat what the answers to charges have said: not part of a checkout
    environment = {**os.environ, **servers, "NOTIFICATIONS_SMTP_URL": smtp_url, "PAYMENTS_WEBHOOK_URL": ""}
    command = ["punchcard", "services", "--port", str(free_port()), "--folder", str(folder)]
    with children.running(command, environment, folder / "store.log", "is open"):
        assert rabbit.process is not None
        assert postgres.process is not None
        demo: dict[str, Any] = json.loads((folder / "demo.json").read_text())
        yield Store(
            demo["base_url"], folder, demo["provider_tokens"]["success"], _register(folder, servers, customers),
            {**_known(folder), "RabbitMQ": rabbit.process.pid, "PostgreSQL": postgres.process.pid},
        )  # fmt: skip


def _register(folder: Path, servers: Mapping[str, str], customers: int) -> list[str]:
    """Customers, written by the use cases of accounts as the demo's are: nothing over HTTP makes a user."""
    urls = postgres_urls(servers["DATABASE_URL"])
    runtime = Runtime.read("accounts", Environment({**servers, **urls, **kept_keys(folder / "keys.json")}))
    accounts = bootstrap(runtime)
    emails = []
    for number in range(_FIRST_NUMBER, _FIRST_NUMBER + customers):
        organization = register_organization(
            accounts, id=f"org_{number}", number=number, name=f"Customer {number}", platform=False
        )
        emails.append(f"buyer@customer-{number}.example")
        register_user(
            accounts, organization_id=organization, email=emails[-1], name="Buyer", password=PASSWORD, role="buyer"
        )
    runtime.database.close()
    return emails


def _known(folder: Path) -> dict[str, int]:
    return {entry["name"]: int(entry["pid"]) for entry in json.loads((folder / "processes.json").read_text())}
