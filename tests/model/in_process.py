"""The whole store without a network: every service's real code and database; the bus, the way to the payment provider
and the mail server are plain Python that does what a test tells it to.

A call goes through the same schemas and identity checks as on the bus. An event stays in its outbox until the test
delivers it, in any order and any number of times. Nothing happens by itself: no timer, no thread, no clock.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import requests
import sqlalchemy as sa
from marshmallow import Schema
from requests.adapters import BaseAdapter
from store import UNSUSPECTING
from werkzeug.test import Client as WsgiClient

from accounts.use_cases.register_deployment import register_deployment
from accounts.use_cases.register_organization import register_organization
from catalog.use_cases.import_catalogue import demo_catalogue, import_catalogue
from chassis import context
from chassis.identity import Identity, IdentitySigner, IdentityVerifier
from chassis.messages import Event, dump_checked, load_request
from chassis.messaging.incoming import CORRELATION_HEADER, Arrived, read_event
from chassis.messaging.topology import Subscription
from chassis.persistence import Database
from chassis.persistence.migrations import migrate
from chassis.persistence.tables import OUTBOX
from chassis.runtime import Runtime
from chassis.sealing import Sealer
from chassis.service import Call, Consume, ConsumeMany, Rpc, load
from chassis.settings import Environment
from chassis.testing import FixedClock, identity
from kernel.errors import unavailable
from notifications.mail import Mail
from payments.offline_provider import create_app as create_provider
from payments.offline_provider.disputes import Disputes
from punchcard.demo_data import REMITTANCES
from punchcard.keys import new_keys
from punchcard.parts import SERVICES, sqlite_urls

ORGANIZATIONS = {"org_acme": "Acme", "org_globex": "Globex"}
DEPLOYMENTS = {"org_acme": "14181336", "org_globex": "30550007"}
STAFF = identity(
    "superuser", user_id="usr_sue", email="sue@punchcard.example", name="Sue", organization_id="org_punchcard",
    organization="Punchcard",
)  # fmt: skip
_PROVIDER = "http://provider.example"


@cache
def _keys() -> dict[str, str]:
    return new_keys()


@dataclass(frozen=True)
class Waiting:
    """An event in an outbox, and who wants it."""

    body: bytes
    correlation_id: str
    event_type: str
    consumers: tuple[str, ...]


class Bus:
    """Calls between the services, in one thread. `lose` makes the next answer of a method go astray.

    Args:
        store: whose services answer.
    """

    def __init__(self, store: InProcessStore) -> None:
        self._store = store
        self._verifier = IdentityVerifier(_keys()["IDENTITY_PUBLIC_KEY"])
        self.lost: dict[str, str] = {}

    def call(
        self, service: str, method: str, data: dict[str, Any] | None = None, *, reply: Schema | None = None,
        timeout_s: float = 5.0,
    ) -> Any:  # fmt: skip
        """As `chassis.rpc.RpcClient.call`."""
        assert not context.transaction_open.get(), "an RPC inside a transaction"
        lost = self.lost.pop(f"{service}.{method}", None)
        if lost == "request":
            raise unavailable()
        answer = self._ask(service, method, json.loads(json.dumps(data or {})))
        if lost == "answer":
            raise unavailable()
        return answer if reply is None else reply.load(answer)

    def _ask(self, service: str, method: str, data: dict[str, Any]) -> Any:
        serving = self._store.services[service]
        function = getattr(serving, method)
        entrypoint = next(each for each in function.nameko_entrypoints if isinstance(each, Rpc))
        at_hand = context.current()
        token = at_hand.identity_token if at_hand else None
        asking = None if entrypoint.anonymous and not token else self._verifier.verify(token)
        if asking is not None and not entrypoint.anonymous:
            asking.require_scope(entrypoint.scope)
        call = Call(load_request(entrypoint.request, data), asking, None)
        return json.loads(json.dumps(dump_checked(entrypoint.reply, function(call))))


class _WayToTheProvider(BaseAdapter):
    """The network between payments and its provider. `lost` is what happens to the next request that changes something:
    it never arrives, or its answer never comes back.
    """

    def __init__(self, application: Any) -> None:
        super().__init__()
        self._provider = WsgiClient(application)
        self.lost: str | None = None

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:
        lost = None
        if request.method == "POST":
            lost, self.lost = self.lost, None
        if lost == "request":
            raise requests.ConnectTimeout
        found = self._provider.open(
            request.path_url, method=request.method, headers=dict(request.headers), data=request.body
        )
        if lost == "answer":
            raise requests.ReadTimeout
        answer = requests.Response()
        answer.status_code, answer._content = found.status_code, found.get_data()
        answer.headers.update(dict(found.headers))
        return answer

    def close(self) -> None:
        """Nothing is open."""


class _Mailbox:
    """A mail server that takes everything."""

    timeout_s = 5.0

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    @contextmanager
    def session(self) -> Iterator[_Mailbox]:
        yield self

    def send(self, mail: Mail) -> None:
        self.mails.append(message_from_bytes(mail.content, policy=policy.default))


class InProcessStore:
    """All services in one thread.

    Args:
        templates: a folder of migrated databases with organisations, deployments and a catalogue (`make_templates`).
        folder: where this store's copies go.
    """

    def __init__(self, templates: Path, folder: Path) -> None:
        for name in SERVICES:
            shutil.copy(templates / f"{name}.db", folder / f"{name}.db")
        self.clock = FixedClock()
        self.bus = Bus(self)
        self.mailbox = _Mailbox()
        self._signer = IdentitySigner(_keys()["IDENTITY_SIGNING_KEY"])
        self.runtimes = {name: _runtime(name, folder, self.clock, self.bus) for name in SERVICES}
        self.services = {name: _service(name, runtime) for name, runtime in self.runtimes.items()}
        self.services["notifications"].app.transport = self.mailbox
        provider = create_provider(
            folder / "provider.db", _keys()["PAYMENTS_PROVIDER_KEY"], slow_s=0, hang_s=0, clock=self.clock
        )
        self.book = provider.extensions["book"]
        self.network = Disputes(self.book)
        self.provider = _WayToTheProvider(provider)
        self.services["payments"].app.provider._session.mount("http://", self.provider)
        self._claim_codes = Sealer(_keys()["CREDITS_SEALING_PUBLIC_KEY"])
        self.delivered: list[Waiting] = []

    def call(self, caller: Identity, service: str, method: str, /, **data: Any) -> Any:
        """Ask a service as somebody."""
        with context.entered(context.RequestContext("cor_model", self._signer.sign(caller))):
            return self.bus.call(service, method, data)

    def sealed(self, code: str) -> str:
        """A claim code as the gateway passes it on."""
        return self._claim_codes.seal(code)

    def run(self, service: str, timer: str) -> None:
        """What a timer of a service does when it is due."""
        with context.entered(context.RequestContext("cor_timer")):
            getattr(self.services[service], timer)()

    def deliver(self, random: Random, most: int | None = None) -> list[tuple[str, str, dict[str, Any]]]:
        """Carry events from the outboxes to whoever wants them, in any order.

        Args:
            random: chooses the order.
            most: events at most; all of them unless told, and those that they cause.

        Returns:
            What was handled: consumer, event type, data.
        """
        handled: list[tuple[str, str, dict[str, Any]]] = []
        while most is None or most > 0:
            waiting = self._waiting()
            if not waiting:
                break
            random.shuffle(waiting)
            taken = waiting if most is None else waiting[:most]
            for name, row_id, found in taken:
                handled += self._hand_over(found)
                self._mark_sent(name, row_id)
                self.delivered.append(found)
            most = None if most is None else most - len(taken)
        return handled

    def redeliver(self, random: Random, number: int) -> None:
        """Carry some events once more that were handled before."""
        for found in random.sample(self.delivered, min(number, len(self.delivered))):
            self._hand_over(found)

    @property
    def quiet(self) -> bool:
        """Whether no event is under way."""
        return not self._waiting()

    def amounts(self, order_id: str) -> list[int]:
        """What the provider's own book says it took for an order, in minor units, and what it gave back: negative."""
        took = [item["amount_minor"] for item in self.book.by_reference(order_id) if item["status"] == "succeeded"]
        gave = [
            item["amount_minor"] for item in self.book.refunds_by_reference(order_id) if item["status"] == "succeeded"
        ]
        return took + [-amount for amount in gave]

    def disputes(self) -> dict[str, str]:
        """By order whose charge is disputed, how the dispute stands at the provider."""
        return {each["reference"]: each["status"] for each in self.network.changed(0, 10_000)[0]}

    def close(self) -> None:
        """Close every file."""
        for runtime in self.runtimes.values():
            runtime.database.close()
        self.book.close()

    def _waiting(self) -> list[tuple[str, str, Waiting]]:
        found = []
        for name, runtime in self.runtimes.items():
            with runtime.database.reading() as reader:
                # as they were written: ids made within a millisecond are in no order, and a walk must be repeatable
                unsent = sa.select(OUTBOX).where(OUTBOX.c.sent_at.is_(None)).order_by(sa.text("rowid"))
                rows = reader.all(unsent)
            for row in rows:
                consumers = _consumers(row["type"])
                assert consumers or not row["must_route"], f"nobody listens to {row['type']}"
                event = Waiting(row["body"].encode(), row["correlation_id"], row["type"], consumers)
                found.append((name, row["id"], event))
        return found

    def _hand_over(self, found: Waiting) -> list[tuple[str, str, dict[str, Any]]]:
        handled = []
        for consumer in found.consumers:
            method, entrypoint = _handlers(found.event_type)[consumer]
            event = _read(found, consumer, entrypoint.schema)
            handle = getattr(self.services[consumer], method)
            with context.entered(context.RequestContext(found.correlation_id)):
                handle([event] if isinstance(entrypoint, ConsumeMany) else event)
            handled.append((consumer, found.event_type, event.data))
        return handled

    def _mark_sent(self, name: str, row_id: str) -> None:
        with self.runtimes[name].database.transaction() as transaction:
            transaction.execute(sa.update(OUTBOX).where(OUTBOX.c.id == row_id).values(sent_at=transaction.now))


def make_templates(folder: Path) -> None:
    """Migrate a database for each service, with two organisations, a deployment each, and the demo catalogue."""
    for name in SERVICES:
        runtime = _runtime(name, folder, FixedClock(), None)
        migrate(runtime.database, name)
        service = _service(name, runtime)
        if name == "accounts":
            for number, (identifier, title) in enumerate(ORGANIZATIONS.items(), start=1000):
                register_organization(service.app, id=identifier, number=number, name=title)
                register_deployment(
                    service.app, id=DEPLOYMENTS[identifier], organization_id=identifier, name=f"{title} Head Office",
                    registered_on=date(2020, 1, 1),
                )  # fmt: skip
        if name == "catalog":
            import_catalogue(service.app, demo_catalogue())
        with runtime.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it into the file that is copied
        runtime.database.close()


def _runtime(name: str, folder: Path, clock: FixedClock, bus: Bus | None) -> Runtime:
    environment = Environment(
        {
            **_keys(), "NOTIFICATIONS_SMTP_URL": "folder:///nowhere", "NOTIFICATIONS_SENDER": "store@punchcard.example",
            "PUNCHCARD_PUBLIC_URL": "http://store.example", "PAYMENTS_PROVIDER_URL": _PROVIDER,
            **REMITTANCES,
            # guessing codes and trying out cards is slow elsewhere: services/credits/tests, services/cart/tests
            "CREDITS_CLAIM_FAILURES": "1000000", **UNSUSPECTING,
        }
    )  # fmt: skip
    database = Database(sqlite_urls(folder)[f"{name.upper()}_DATABASE_URL"], clock)
    sa.event.listen(database.engine, "connect", _hurry)
    verifier = IdentityVerifier(_keys()["IDENTITY_PUBLIC_KEY"])
    return Runtime(name, environment, "memory://", database, bus, None, verifier, clock)  # type: ignore[arg-type]


def _hurry(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # no power is cut here


def _service(name: str, runtime: Runtime) -> Any:
    service = load(name)()
    service.app = import_module(f"{name}.bootstrap").bootstrap(runtime)
    service.runtime = runtime
    return service


@cache
def _handlers(event_type: str) -> dict[str, tuple[str, Consume]]:
    """Who handles an event: by service, the method's name and its entrypoint."""
    return {
        name: (attribute, entrypoint)
        for name in SERVICES
        for attribute, function in vars(load(name)).items()
        for entrypoint in getattr(function, "nameko_entrypoints", ())
        if isinstance(entrypoint, Consume) and entrypoint.event == event_type
    }


def _consumers(event_type: str) -> tuple[str, ...]:
    return tuple(_handlers(event_type))


def _read(found: Waiting, consumer: str, schema: Schema) -> Event:
    subscription = Subscription(consumer, found.event_type)
    headers = {CORRELATION_HEADER: found.correlation_id}
    arrived = Arrived(subscription.queue, found.body, headers, "application/json")
    return read_event(arrived, subscription, schema)


def buyers() -> Sequence[Identity]:
    """One of each organisation."""
    return [
        identity(
            "buyer",
            user_id=f"usr_{organization_id}",
            email=f"buyer@{name.lower()}.example",
            name=f"Buyer of {name}",
            organization_id=organization_id,
            organization=name,
        )
        for organization_id, name in ORGANIZATIONS.items()
    ]
