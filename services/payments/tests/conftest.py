"""Providers to test with: a real one over HTTP, one in memory, and one that answers whatever it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from chassis.persistence import Database
from chassis.testing import FixedClock, identity, sqlite_database
from kernel.money import Money
from payments.bootstrap import App
from payments.domain.provider import (
    Captured,
    Card,
    Declined,
    NotSeen,
    Outcome,
    Refunded,
    RefundOutcome,
    RefundRefused,
    RequiresAction,
    Unknown,
    Voided,
)
from payments.domain.remittances import Terms
from payments.offline_provider import PROVIDER_TOKENS, create_app
from payments.offline_provider.book import Book
from payments.offline_provider.server import threaded_server
from payments.providers.offline import OfflineProvider
from payments.use_cases.collect import collect
from payments.use_cases.void import void

SECRET = "the secret of the tests"
LEASE = timedelta(seconds=10)
TERMS = {
    "wire": Terms({"account": "DE89", "beneficiary": "Punchcard"}, 14, 30, (7, 14)),
    "check": Terms({"payable_to": "Punchcard", "address": "1 Main St"}, 21, 45),
}


class FakeProvider:
    """A provider in memory, for what is not about HTTP. `silent` makes it answer nothing it could be understood by."""

    def __init__(self) -> None:
        self.book: dict[str, Outcome] = {}
        self.waiting: dict[str, Outcome] = {}
        self.asked: list[tuple[str, str]] = []
        self.references: list[str] = []
        self.silent = False
        self.refunds: dict[str, RefundOutcome] = {}
        self._spent: set[str] = set()
        self._lock = threading.Lock()

    def charge(self, key: str, token: str, amount: Money, reference: str) -> Outcome:
        with self._lock:
            self.asked.append(("charge", key))
            if self.silent:
                return Unknown("silent")
            if key in self.book:
                return self.book[key]
            if token == PROVIDER_TOKENS["3ds"]:
                expires_at = datetime(2026, 11, 22, 12, 15, tzinfo=UTC)
                return self.waiting.setdefault(key, RequiresAction(f"https://bank.example/{key}", expires_at))
            self.book[key] = outcome = self._decide(token, amount)
            self.references.append(reference)
            return Unknown("timeout") if token == PROVIDER_TOKENS["timeout"] else outcome

    def find(self, key: str) -> Outcome | NotSeen:
        self.asked.append(("find", key))
        return Unknown("silent") if self.silent else self.book.get(key) or self.waiting.get(key, NotSeen())

    def decide(self, *, confirmed: bool = True) -> None:
        """The payer confirms whatever waits, or refuses; what was given up is not asked any more."""
        for key in self.waiting:
            outcome = Captured(
                f"ch_{key}", Money(12000, "USD"), Card("visa", "3220"), datetime(2026, 11, 22, 12, tzinfo=UTC)
            )
            self.book.setdefault(key, outcome if confirmed else Declined("authentication_failed"))

    def void(self, key: str) -> Outcome:
        with self._lock:
            self.asked.append(("void", key))
            if self.silent:
                return Unknown("silent")
            return self.book.setdefault(key, Voided())

    def refund(self, key: str, charge_id: str, amount: Money) -> RefundOutcome:
        with self._lock:
            self.asked.append(("refund", key))
            if self.silent:
                return Unknown("silent")
            if key not in self.refunds:
                self.refunds[key] = self._decide_refund(charge_id, amount)
            return self.refunds[key]

    def find_refund(self, key: str) -> RefundOutcome | NotSeen:
        self.asked.append(("find_refund", key))
        return Unknown("silent") if self.silent else self.refunds.get(key, NotSeen())

    def _decide_refund(self, charge_id: str, amount: Money) -> RefundOutcome:
        charged = {charge.charge_id: charge.amount for charge in self.book.values() if isinstance(charge, Captured)}
        if charge_id not in charged:
            return RefundRefused("charge_unknown")
        given = sum(done.amount.amount_minor for done in self.refunds.values() if isinstance(done, Refunded))
        if given + amount.amount_minor > charged[charge_id].amount_minor:
            return RefundRefused("refund_exceeds_charge")
        return Refunded(f"re_{len(self.refunds) + 1}", amount, datetime(2026, 11, 24, 12, tzinfo=UTC))

    def _decide(self, token: str, amount: Money) -> Outcome:
        if token == PROVIDER_TOKENS["declined"]:
            return Declined("card_declined")
        if token == PROVIDER_TOKENS["insufficient_funds"]:
            return Declined("insufficient_funds")
        if token in self._spent:
            return Declined("token_already_used")
        if token not in PROVIDER_TOKENS.values():
            if not token.startswith("tok_once"):
                return Declined("token_unknown")
            self._spent.add(token)
        number = len(self.book) + 1
        return Captured(f"ch_{number}", amount, Card("visa", "4242"), datetime(2026, 11, 22, 12, tzinfo=UTC))

    def captures(self) -> int:
        return sum(isinstance(outcome, Captured) for outcome in self.book.values())


@dataclass
class RunningProvider:
    """The offline provider behind a real socket."""

    url: str
    book: Book

    def client(self, **options: Any) -> OfflineProvider:
        """Patient unless told: a loaded machine must not turn an answer into a timeout."""
        return OfflineProvider(self.url, SECRET, **{"connect_timeout_s": 20.0, "read_timeout_s": 60.0, **options})

    def succeeded(self, reference: str) -> list[dict[str, Any]]:
        return [charge for charge in self.book.by_reference(reference) if charge["status"] == "succeeded"]


@pytest.fixture
def running_provider(tmp_path: Path) -> Iterator[RunningProvider]:
    app = create_app(tmp_path / "provider.db", SECRET, slow_s=0.05, hang_s=120)
    server = threaded_server(app, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield RunningProvider(f"http://127.0.0.1:{server.port}", app.extensions["book"])
    server.shutdown()
    server.server_close()
    app.extensions["book"].close()


@dataclass
class Scripted:
    """An HTTP server that gives one answer to everything; `{key}` in it becomes the key that was sent."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        key = request.headers.get("Idempotency-Key") or request.args.get("idempotency_key", "")
        self.requests.append((request.method, request.path))
        response = Response(self.body.replace("{key}", key), self.status, self.headers, mimetype="application/json")
        return response(environ, start_response)

    def client(self) -> OfflineProvider:
        return OfflineProvider(self.url, SECRET, connect_timeout_s=20.0, read_timeout_s=60.0)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()
    server = make_server("127.0.0.1", 0, script.answer, threaded=True)
    script.url = f"http://127.0.0.1:{server.port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield script
    server.shutdown()
    server.server_close()


@pytest.fixture
def fake_provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def app(tmp_path: Path, clock: FixedClock, fake_provider: FakeProvider) -> Iterator[App]:
    database = sqlite_database(tmp_path, "payments", clock)
    yield App(database, fake_provider, LEASE, remittances=TERMS)
    database.close()


@pytest.fixture
def app_on(clock: FixedClock) -> Callable[..., App]:
    """Call it with a database and a provider."""
    return lambda database, provider: App(database, provider, LEASE, remittances=TERMS)


@pytest.fixture
def pay() -> Callable[..., dict[str, Any]]:
    """Collect for an order of Acme as cart asks for it."""

    def pay_with(app: App, token: str | None = PROVIDER_TOKENS["success"], **changes: Any) -> dict[str, Any]:
        request = {
            "order_id": "ord_1",
            "order_number": "O-1",
            "amount": {"amount_minor": 12000, "currency": "USD"},
            "method": "card",
            "provider_token": token,
            "payer": {"organization_id": "org_acme", "user_id": "usr_ada", "email": "ada@acme.example"},
        }
        return collect(app, changes.pop("caller", identity()), **{**request, **changes})

    return pay_with


@pytest.fixture
def give_up() -> Callable[..., dict[str, Any]]:
    """Void for an order of Acme as cart asks for it."""

    def give_up_with(app: App, **changes: Any) -> dict[str, Any]:
        request = {
            "order_id": "ord_1",
            "order_number": "O-1",
            "amount": {"amount_minor": 12000, "currency": "USD"},
            "method": "card",
            "payer": {"organization_id": "org_acme", "user_id": "usr_ada", "email": "ada@acme.example"},
        }
        return void(app, changes.pop("caller", identity()), **{**request, **changes})

    return give_up_with


@pytest.fixture
def rows() -> Callable[..., list[dict[str, Any]]]:
    """Everything in a table."""
    import sqlalchemy as sa

    def read(database: Database, table: sa.Table) -> list[dict[str, Any]]:
        with database.reading() as reader:
            return [dict(row) for row in reader.all(sa.select(table))]

    return read


@pytest.fixture
def charge_json() -> Callable[..., str]:
    """A charge as the provider would write it, with changes."""

    def write(**changes: Any) -> str:
        charge = {
            "id": "ch_1",
            "status": "succeeded",
            "amount_minor": 12000,
            "currency": "USD",
            "reference": "ord_1",
            "idempotency_key": "{key}",
            "card": {"brand": "visa", "last4": "4242"},
            "error": None,
            "created_at": "2026-11-22T12:00:00.000Z",
        }
        return json.dumps({**charge, **changes})

    return write
