"""A shop for tests: cart's own code with its real clients, and a bus on which the other services are played."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from marshmallow import Schema

from cart import messages, storage
from cart.bootstrap import App
from cart.clients import Accounts, Catalog, Credits, Payments
from cart.settings import Settings
from cart.storage import FAILURE
from cart.use_cases.add_line import add_line
from cart.use_cases.cancel_order import cancel_order
from cart.use_cases.convert_quote import convert_quote
from cart.use_cases.get_cart import get_cart
from cart.use_cases.place_order import place_order
from chassis.context import transaction_open
from chassis.identity import Identity
from chassis.messages import load_request
from chassis.persistence import Database
from chassis.persistence.tables import IDEMPOTENCY_KEY
from chassis.persistence.throttle import Throttle
from chassis.testing import FixedClock, emitted, identity, sqlite_database
from kernel.errors import Kind, Refusal, unavailable

TERMS = "2026-11"
DEPLOYMENTS = {
    "dep_one": "active",
    "dep_two": "active",
    "dep_old": "retired",
}


NEXT_ACTION = {"type": "redirect", "url": "https://bank.example/1", "expires_at": "2026-11-22T12:15:00.000Z"}


class Crash(BaseException):
    """The process dies here; nothing catches it."""


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


def address(country: str) -> dict[str, Any]:
    return {
        "id": "adr_1", "name": "Ada Buyer", "company": "Acme", "address": "1 Main Street", "address_2": None,
        "city": "Town", "state": "NY" if country == "US" else None, "zip": "10001", "country": country,
        "default_billing": True,
    }  # fmt: skip


def _product(sku: str, kind: str, price: int, credits: int = 0, needs_deployment: bool = False) -> dict[str, Any]:
    return {
        "sku": sku, "name": f"The {sku}", "kind": kind, "credits": credits, "needs_deployment": needs_deployment,
        "max_quantity": 10, "unit_price": usd(price), "term_months": 24 if kind == "contract" else None,
        "credits_valid_days": 90 if credits else None,
    }  # fmt: skip


class Bus:
    """Plays catalog, accounts and payments behind the interface of the RPC client, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.terms_version = TERMS
        self.products = {
            product["sku"]: product
            for product in (
                _product("PACK-120", "credit_pack", 12000, credits=120),
                _product("CONTRACT", "contract", 50000, credits=60, needs_deployment=True),
                _product("LICENCE", "licence", 9900, needs_deployment=True),
                _product("BOX", "hardware", 30000),
            )
        }
        self.deployments = dict(DEPLOYMENTS)
        self.time_zone = "UTC"
        self.certificate: str | None = None
        self.addresses = {f"adr_{country.lower()}": address(country) for country in ("US", "DE", "FR")}
        self.taxes = {
            ("US", "NY"): {"name": "Sales tax", "rate_ppm": 88750}, ("DE", None): {"name": "MwSt", "rate_ppm": 190000},
        }  # fmt: skip
        self.charges: dict[str, int] = {}
        self.intents: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.attempts: list[str] = []
        self.closed: set[str] = set()
        self.next_action = NEXT_ACTION
        #: what payments does: captured, failed, processing, 3ds (waits for the payer), invalid, lost (charges, but the
        #: answer is lost), down, ahead (its clock is, so that no identity is good any more),
        #: dies_before, dies_after (our process does, before or after the charge)
        self.payments = "captured"
        #: what was taken back and given back, by refund
        self.taken_back: dict[str, dict[str, Any]] = {}
        self.given_back: dict[str, dict[str, Any]] = {}
        self.in_use = 0
        self.money_only = False
        #: what credits does: taken, down, dies_after; what payments does with a refund: succeeded, failed, processing,
        #: lost (gives back, but the answer is lost), down, dies_after
        self.credits = "taken"
        self.refunds = "succeeded"
        self.before: Callable[[str], None] = lambda method: None
        #: what payments does when asked to void: does, lost (does, but the answer is lost), silent (the provider does
        #: not answer), down, dies (our process does, before it is asked)
        self.voids = "does"
        self._lock = threading.Lock()

    def call(
        self, service: str, method: str, data: dict[str, Any] | None = None, *, reply: Schema, timeout_s: float = 5.0
    ) -> Any:
        assert not transaction_open.get(), "an RPC inside a transaction"
        self.calls.append(f"{service}.{method}")
        self.before(method)
        return reply.load(getattr(self, f"_{method}")(**(data or {})))

    def _price_lines(self, skus: list[str], currency: str, taxed_in: dict[str, Any] | None = None) -> dict[str, Any]:
        priced = [self.products[sku] for sku in skus if sku in self.products]
        items = [product for product in priced if product["unit_price"]["currency"] == currency]
        tax = {} if taxed_in is None else {"tax": self.taxes.get((taxed_in["country"], taxed_in["state"]))}
        return {"items": items, "terms_version": self.terms_version, "a_field_of_next_year": 1, **tax}

    def _check_deployments(self, ids: list[str]) -> dict[str, Any]:
        return {"items": [{"id": id_, "state": self.deployments[id_]} for id_ in ids if id_ in self.deployments]}

    def _billing_facts(self, address_id: str | None) -> dict[str, Any]:
        if address_id is not None and address_id not in self.addresses:
            raise Refusal(Kind.NOT_FOUND, "not_found", "There is no such address.")
        organization = {"time_zone": self.time_zone, "tax_certificate": self.certificate, "a_field_of_next_year": 1}
        return {"address": self.addresses[address_id or "adr_de"], "organization": organization}

    def _collect(self, **request: Any) -> dict[str, Any]:
        order_id = request["order_id"]
        self.requests.append(request)
        if self.payments == "dies_before":
            raise Crash
        if self.payments == "down":
            raise unavailable()
        if self.payments == "invalid":
            raise Refusal(Kind.INVALID, "unknown_provider_token", "This token is unknown. Enter the card again.")
        with self._lock:
            if order_id not in self.intents:
                self.intents[order_id] = self._intent(order_id, request["amount"]["amount_minor"])
        if self.payments == "dies_after":
            raise Crash
        if self.payments == "lost":
            raise unavailable()
        return self.intents[order_id]

    def _intent(self, order_id: str, amount_minor: int) -> dict[str, Any]:
        state = self.payments if self.payments in ("failed", "processing") else "captured"
        state = "processing" if self.payments == "3ds" else state
        decline = {"code": "insufficient_funds", "message": "Use another card."} if state == "failed" else None
        card = {"brand": "visa", "last4": "4242"} if state == "captured" else None
        if state == "captured":
            self.charges[order_id] = self.charges.get(order_id, 0) + amount_minor
        action = self.next_action if self.payments == "3ds" else None
        return {
            "intent_id": f"pay_{order_id}", "order_id": order_id, "state": state, "decline": decline, "card": card,
            "next_action": action,
        }  # fmt: skip

    def _void(self, **request: Any) -> dict[str, Any]:
        order_id = request["order_id"]
        if self.voids == "dies":
            raise Crash
        if self.voids == "down":
            raise unavailable()
        with self._lock:
            known = self.intents.get(order_id)
            if self.voids != "silent" and (known is None or known["state"] in ("processing", "requires_action")):
                self.intents[order_id] = self._intent_in(order_id, "voided")
        if self.voids == "lost":
            raise unavailable()
        return self.intents.get(order_id) or self._intent_in(order_id, "processing")

    def _intent_in(self, order_id: str, state: str) -> dict[str, Any]:
        return {"intent_id": f"pay_{order_id}", "order_id": order_id, "state": state, "decline": None, "card": None}

    def _issue_instructions(self, **request: Any) -> dict[str, Any]:
        order_id, method = request["order_id"], request["method"]
        self.requests.append(request)
        if self.payments == "dies_before":
            raise Crash
        if self.payments == "down":
            raise unavailable()
        if method in self.closed:
            raise Refusal(Kind.INVALID, "payment_method_unavailable", f"Payment by {method} is not open.")
        with self._lock:
            known = self.intents.get(order_id)
            if known is None or (known["state"] == "requires_action" and known["method"] != method):
                issue = 1 if known is None else known["instructions"]["issue"] + 1
                received = 0 if known is None else known["instructions"]["received"]["amount_minor"]
                self.intents[order_id] = self._awaited(request, issue, received)
        if self.payments == "dies_after":
            raise Crash
        if self.payments == "lost":
            raise unavailable()
        return self.intents[order_id]

    def _awaited(self, request: dict[str, Any], issue: int, received: int) -> dict[str, Any]:
        due = request["amount"]["amount_minor"]
        return {
            "intent_id": f"pay_{request['order_id']}", "order_id": request["order_id"], "state": "requires_action",
            "method": request["method"], "decline": None, "card": None,
            "instructions": {
                "method": request["method"], "reference": "RF84PC2026000001", "amount": usd(due),
                "received": usd(received), "remaining": usd(due - received), "due_on": "2026-12-06",
                "expires_at": "2026-12-22T12:00:00.000Z", "issue": issue, "pay_to": {"account": "DE89"},
            },
        }  # fmt: skip

    def _pay_by_card(self, order_id: str, attempt_id: str, provider_token: str) -> dict[str, Any]:
        if self.payments == "dies_before":
            raise Crash
        if self.payments == "down":
            raise unavailable()
        with self._lock:
            intent = self.intents[order_id]
            clean = intent["state"] == "requires_action" and not intent["instructions"]["received"]["amount_minor"]
            if clean and attempt_id not in self.attempts:
                self.attempts.append(attempt_id)
                card = self._intent(order_id, intent["instructions"]["amount"]["amount_minor"])
                changes = {"decline": card["decline"]} if card["decline"] else {**card, "instructions": None}
                self.intents[order_id] = {**intent, **changes, "method": "card" if not card["decline"] else "wire"}
        if self.payments == "dies_after":
            raise Crash
        if self.payments == "lost":
            raise unavailable()
        return self.intents[order_id]

    def _check_payment(self, organization_id: str, method: str, payment_method_id: str | None) -> dict[str, Any]:
        if payment_method_id not in (None, "pm_ada"):
            raise Refusal(Kind.NOT_FOUND, "not_found", "There is no such payment method.")
        if method in self.closed:
            raise Refusal(Kind.INVALID, "payment_method_unavailable", f"Payment by {method} is not open.")
        return {}

    def _change_payment(self, **request: Any) -> dict[str, Any]:
        order_id, attempt_id, method = request["order_id"], request["attempt_id"], request["method"]
        self.requests.append(request)
        if self.payments == "dies_before":
            raise Crash
        if self.payments == "down":
            raise unavailable()
        with self._lock:
            known = self.intents.get(order_id)
            if known is None or known["state"] == "processing":
                known = self.intents[order_id] = {"state": "between", "intent_id": f"pay_{order_id}"}
            received = (known.get("instructions") or {}).get("received", {}).get("amount_minor")
            begins = known["state"] in ("between", "requires_action") and not (received and method == "card")
            if begins and attempt_id not in self.attempts:
                self.attempts.append(attempt_id)
                if method != "card":
                    self.intents[order_id] = self._awaited(request, 1, 0)
                else:
                    card = self._intent(order_id, request["amount"]["amount_minor"])
                    if known["state"] == "requires_action":
                        again = {"decline": card["decline"]} if card["decline"] else {**card, "instructions": None}
                        card = {**known, **again, "method": "card" if not card["decline"] else "wire"}
                    self.intents[order_id] = card
        if self.payments == "dies_after":
            raise Crash
        if self.payments == "lost":
            raise unavailable()
        return self.intents[order_id]

    def _take_back_order(
        self, refund_id: str, order_id: str, claimed: str, lines: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        brought = 120 if lines is None else sum(line["credits"] for line in lines)
        if self.credits == "down":
            raise unavailable()
        if self.in_use and claimed == "refuse":
            raise Refusal(Kind.CONFLICT, "credits_in_use", "Decide.", extra={"claimed": self.in_use, "spent": 0})
        said = {"taken_back": brought - self.in_use, "claimed": self.in_use, "spent": 0, "expired": 0}
        self.taken_back.setdefault(refund_id, {"refund_id": refund_id, "order_id": order_id, **said})
        if self.credits == "dies_after":
            raise Crash
        return self.taken_back[refund_id]

    def _refund(self, refund_id: str, order_id: str, amount: dict[str, Any], reason: str) -> dict[str, Any]:
        assert self.money_only or refund_id in self.taken_back, "money before credits"
        if self.refunds == "down":
            raise unavailable()
        state = self.refunds if self.refunds in ("failed", "processing", "awaiting_payout") else "succeeded"
        code = "charge_disputed" if state == "failed" else None
        said = {"refund_id": refund_id, "order_id": order_id, "state": state, "amount": amount, "failure_code": code}
        if state in ("processing", "awaiting_payout"):
            return said
        self.given_back.setdefault(refund_id, said)
        if self.refunds == "dies_after":
            raise Crash
        if self.refunds == "lost":
            raise unavailable()
        return self.given_back[refund_id]

    def _get_intent(self, order_id: str) -> dict[str, Any]:
        if self.payments == "down":
            raise unavailable()
        if self.payments == "ahead":
            raise Refusal(Kind.UNAUTHENTICATED, "unauthenticated", "Sign in first.")
        if order_id not in self.intents:
            raise Refusal(Kind.NOT_FOUND, "not_found", "There is no such payment.")
        return self.intents[order_id]


class Shop:
    """An App on a database, with short ways to what tests do."""

    Crash = Crash

    def __init__(self, database: Database, clock: FixedClock) -> None:
        self.database = database
        self.clock = clock
        self.bus = Bus()
        self.buyer = identity()
        settings = Settings()
        self.app = App(
            database,
            settings,
            Catalog(self.bus),  # type: ignore[arg-type]
            Accounts(self.bus),  # type: ignore[arg-type]
            Payments(self.bus, settings.collect_timeout_s),  # type: ignore[arg-type]
            Credits(self.bus),  # type: ignore[arg-type]
            Throttle(FAILURE, settings.declines_at_most),
        )

    def add(self, sku: str = "PACK-120", quantity: int = 1, caller: Identity | None = None, **more: Any) -> Any:
        request = load_request(messages.AddLine(), {"sku": sku, "quantity": quantity, **more})
        return add_line(self.app, caller or self.buyer, **request)

    def add_pack(self, quantity: int = 1, **more: Any) -> Any:
        return self.add("PACK-120", quantity, credit_destination="support_card", **more)

    def cart(self, caller: Identity | None = None, **more: Any) -> Any:
        return get_cart(self.app, caller or self.buyer, **more)

    def order_request(self, key: str = "key-1", **changes: Any) -> dict[str, Any]:
        return load_request(
            messages.PlaceOrder(),
            {
                "idempotency_key": key,
                "payment": {"method": "card", "provider_token": "tok_success"},
                "accept_terms": TERMS,
                "client_address": "192.0.2.7",
                **changes,
            },
        )

    def place(self, key: str = "key-1", caller: Identity | None = None, **changes: Any) -> Any:
        return place_order(self.app, caller or self.buyer, **self.order_request(key, **changes))

    def cancel(self, order_id: str, key: str = "cancel-1", caller: Identity | None = None) -> Any:
        request = load_request(messages.CancelOrder(), {"idempotency_key": key, "id": order_id})
        return cancel_order(self.app, caller or self.buyer, **request)

    def quote(self, key: str = "quote-1", **changes: Any) -> Any:
        """A quote for a pack, or for what is in the cart."""
        if not self.cart()["lines"]:
            self.add_pack()
        return self.place(key, payment={"method": "quote"}, **changes)["order"]

    def convert(
        self, quote_id: str, key: str = "convert-1", method: str = "card", caller: Identity | None = None
    ) -> Any:
        payment = {"method": method, "provider_token": "tok_success" if method == "card" else None}
        request = load_request(
            messages.ConvertQuote(), {"id": quote_id, "idempotency_key": key, "payment": payment}
        )  # fmt: skip
        return convert_quote(self.app, caller or self.buyer, **request)

    def wire(self, key: str = "key-1", method: str = "wire") -> Any:
        """An order that awaits a wire (or a check)."""
        if not self.cart()["lines"]:
            self.add_pack()
        return self.place(key, payment={"method": method})

    def refused(self, call: Callable[..., Any], *arguments: Any, **more: Any) -> Refusal:
        with pytest.raises(Refusal) as caught:
            call(*arguments, **more)
        return caught.value

    @staticmethod
    def at_once(*calls: Callable[[], Any]) -> list[Any]:
        """What each call gives, or its refusal; anything else is raised."""

        def run(call: Callable[[], Any]) -> Any:
            try:
                return call()
            except Refusal as refusal:
                return refusal

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))

    def meet(self, method: str, parties: int) -> None:
        """Have the first `parties` calls of an RPC method wait for each other: all are past what came before."""
        barrier = threading.Barrier(parties, timeout=30)
        tickets = iter(range(parties))

        def wait(called: str) -> None:
            if called == method and next(tickets, None) is not None:
                barrier.wait()

        self.bus.before = wait

    @staticmethod
    def codes(results: list[Any]) -> list[str]:
        """Of each result the status, or the code of the refusal."""
        return sorted(result.code if isinstance(result, Refusal) else str(result["status"]) for result in results)

    def paid_events(self) -> list[dict[str, Any]]:
        return [data for name, data in emitted(self.database) if name == "cart.order_paid.v1"]

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        with self.database.reading() as reader:
            return [dict(row) for row in reader.all(sa.select(table))]

    def written(self) -> int:
        """Rows that a checkout writes."""
        tables = (storage.ORDERS, storage.ORDER_LINE, storage.ORDER_NUMBER, IDEMPOTENCY_KEY)
        return sum(len(self.rows(table)) for table in tables) + len(emitted(self.database))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop on SQLite."""
    clock = FixedClock()
    database = sqlite_database(tmp_path, "cart", clock)
    yield Shop(database, clock)
    database.close()


@pytest.fixture
def shop_on_both(migrated: Callable[..., Database]) -> Shop:
    """A shop on SQLite, then on a real PostgreSQL."""
    clock = FixedClock()
    return Shop(migrated("cart", clock), clock)


@pytest.fixture
def shop_on_postgres(migrated_postgres: Callable[..., Database]) -> Shop:
    """A shop on a real PostgreSQL, for what concerns locks."""
    clock = FixedClock()
    return Shop(migrated_postgres("cart", clock), clock)
