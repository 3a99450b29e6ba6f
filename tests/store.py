"""A whole store under test: started as a person would, used over HTTP, killed without mercy."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from chassis import context
from chassis.identity import Identity, IdentitySigner
from chassis.local_servers import free_port
from chassis.rpc import RpcClient
from chassis.testing import wait_until
from punchcard.processes import addresses
from punchcard.reconcile import ProviderBook, Report, StaffClient, broker_depths, reconcile

PASSWORD = "punchcard-demo"
PACK = "HOURLY-300"
#: Of the many who sign in here nobody has a password worth guarding; services/accounts tests what guards others.
CHEAP_PASSWORDS = {
    "ACCOUNTS_PASSWORD_MEMORY_KIB": "64", "ACCOUNTS_PASSWORD_PASSES": "1", "ACCOUNTS_PASSWORD_LANES": "1",
}  # fmt: skip
#: For stores that see more declined cards, all from one address, than any honest customers would cause.
UNSUSPECTING = {"CART_DECLINES_AT_MOST": "1000000", "PAYMENTS_DECLINES_AT_MOST": "1000000"}


@dataclass
class Store:
    """One running store.

    Args:
        folder: what it keeps.
        command: ``run`` (embedded) or ``services``.
        arguments: more words for the command.
        environment: more variables.
    """

    folder: Path
    command: str
    arguments: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def embedded(self) -> bool:
        return self.command == "run"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> Path:
        return self.folder.parent / f"{self.folder.name}.out"

    @property
    def demo(self) -> dict[str, Any]:
        """What the store wrote for whoever tries it."""
        read: dict[str, Any] = json.loads((self.folder / "demo.json").read_text())
        return read

    def start(self) -> Store:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "punchcard", self.command, "--port", str(self.port),
                 "--folder", str(self.folder), *self.arguments],
                stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, **CHEAP_PASSWORDS, **self.environment},
            )  # fmt: skip
        wait_until(self._open, f"the store to open (see {self.output})", 90)
        return self

    def _open(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()
        return "Punchcard is open" in self.output.read_text()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)

    def kill(self) -> None:
        """``kill -9``"""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def pids(self) -> dict[str, int]:
        """The processes by name (services mode)."""
        known = json.loads((self.folder / "processes.json").read_text())
        return {entry["name"]: int(entry["pid"]) for entry in known}

    def pid_of(self, name: str) -> int:
        """The process of a service (services mode)."""
        return self.pids()[name]

    def client(self, email: str = "ada@acme.example") -> Client:
        return Client(self, email)

    def mails(self) -> list[dict[str, Any]]:
        """Every mail, newest first."""
        url = self.demo.get("mail_url", f"{self.base_url}/dev/mail") + ".json"
        items: list[dict[str, Any]] = requests.get(url, timeout=30).json()["items"]
        return items

    def card_mails(self, order_number: str) -> list[dict[str, Any]]:
        """The card mails of one order."""
        return [mail for mail in self.mails() if "Claim code:" in mail["text"] and order_number in mail["text"]]

    def charges(self, order_id: str) -> list[dict[str, Any]]:
        """What the provider's own book says was taken for an order."""
        found = self._at_provider("GET", "/charges", params={"reference": order_id})["items"]
        return [charge for charge in found if charge["status"] == "succeeded"]

    def dispute(self, order_id: str, reason: str = "not_recognized", amount_minor: int | None = None) -> str:
        """The payer of an order disputes its charge; the provider's id of the dispute."""
        [charge] = self.charges(order_id)
        body = {"charge_id": charge["id"], "reason": reason, "amount_minor": amount_minor}
        return str(self._at_provider("POST", "/disputes", json=body)["id"])

    def disputes(self, order_id: str) -> list[dict[str, Any]]:
        """What the provider's own book says about disputes of an order's charge."""
        found: list[dict[str, Any]] = self._at_provider("GET", "/disputes", params={"reference": order_id})["items"]
        return found

    def decide_dispute(self, provider_dispute_id: str, outcome: str) -> None:
        """The card network decides: ``won`` or ``lost``."""
        self._at_provider("POST", f"/disputes/{provider_dispute_id}/decide", json={"outcome": outcome})

    def _at_provider(self, method: str, path: str, **parts: Any) -> Any:
        keys = json.loads((self.folder / "keys.json").read_text())
        response = requests.request(
            method, f"{self.demo['provider_url']}{path}", timeout=10,
            headers={"Authorization": f"Bearer {keys['PAYMENTS_PROVIDER_KEY']}"}, **parts,
        )  # fmt: skip
        response.raise_for_status()
        return response.json()

    def reconciled(self, patience_s: float, pause_s: float = 2.0) -> Report:
        """What `punchcard reconcile` would say (services mode).

        Args:
            patience_s: for how long to look again at what seems broken, in seconds.
            pause_s: between two looks.
        """
        known = addresses(self.folder)
        client = RpcClient(known["AMQP_URI"], "tests")
        try:
            staff = StaffClient(client, known["IDENTITY_SIGNING_KEY"])
            book = ProviderBook(known["PAYMENTS_PROVIDER_URL"], known["PAYMENTS_PROVIDER_KEY"])
            depths = broker_depths(known["AMQP_URI"])
            return reconcile(staff, book=book, depths=depths, patience_s=patience_s, pause_s=pause_s)
        finally:
            client.stop()

    def ledger_breaks(self, amqp_uri: str) -> list[Any]:
        """What credits finds wrong with its own ledger (services mode: asked over the bus, as staff)."""
        keys = json.loads((self.folder / "keys.json").read_text())
        staff = Identity("usr_fay", "fay@punchcard.example", "Fay", "finance", "org_punchcard", "Punchcard Support")
        token = IdentitySigner(keys["IDENTITY_SIGNING_KEY"]).sign(staff)
        client = RpcClient(amqp_uri, "tests")
        try:
            with context.entered(context.RequestContext("cor_tests", token)):
                breaks: list[Any] = client.call("credits", "reconcile", {}, timeout_s=30)["breaks"]
                return breaks
        finally:
            client.stop()


class Client:
    """A signed-in user of a store."""

    def __init__(self, store: Store, email: str) -> None:
        self.store = store
        self.http = requests.Session()
        body = {"email": email, "password": PASSWORD}
        signed_in = self.insist(lambda: self.http.post(store.base_url + "/v1/sessions", json=body, timeout=30))
        assert signed_in.status_code == 201, signed_in.text
        self.http.headers["Authorization"] = f"Bearer {signed_in.json()['token']}"

    def insist(self, ask: Callable[[], Any], timeout_s: float = 120) -> Any:
        """The answer, asking again as a client does while the store says that it cannot answer now."""
        answers: list[Any] = []

        def answered() -> bool:
            answers.append(ask())
            return bool(answers[-1].status_code != 503)

        wait_until(answered, "an answer", timeout_s)
        return answers[-1]

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None, **options: Any) -> Any:
        """Any request; the response as it is."""
        headers = {**({"Idempotency-Key": key} if key else {}), **options.pop("headers", {})}
        options.setdefault("timeout", 30)
        return self.http.request(
            method,
            self.store.base_url + path,
            **({"json": body} if body is not None else {}),
            headers=headers,
            **options,
        )

    def get(self, path: str) -> Any:
        response = self.ask("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def empty_cart(self) -> None:
        for line in self.get("/v1/cart")["lines"]:
            assert self.ask("DELETE", f"/v1/cart/lines/{line['id']}").status_code in (200, 204)

    def fill_cart(self, sku: str = PACK, destination: str | None = "support_card", quantity: int = 1) -> Any:
        line = {"sku": sku, "quantity": quantity, "credit_destination": destination}
        response = self.ask(
            "POST", "/v1/cart/lines", {name: value for name, value in line.items() if value is not None}
        )
        assert response.ok, response.text
        return response.json()

    def order_body(self, cart: Any, card: str = "success", **changes: Any) -> dict[str, Any]:
        return {
            "payment": {"method": "card", "provider_token": self.store.demo["provider_tokens"][card]},
            "accept_terms": cart["terms_version"],
            "expected_total": cart["totals"]["total"],
            **changes,
        }

    def place(self, body: dict[str, Any], key: str | None = None) -> Any:
        return self.ask("POST", "/v1/orders", body, key=key or str(uuid.uuid4()))

    def buy_card(self, quantity: int = 1) -> Any:
        """A complete purchase of support credit cards, up to the answer."""
        response = self.place(self.order_body(self.fill_cart(quantity=quantity)))
        assert response.status_code == 201, response.text
        return response.json()

    def order_by(self, method: str, quantity: int = 1) -> Any:
        """An order of support credit cards that waits for a wire or check."""
        self.empty_cart()
        cart = self.fill_cart(quantity=quantity)
        response = self.place(self.order_body(cart, payment={"method": method}))
        assert response.status_code in (201, 202), response.text
        path = f"/v1/orders/{response.json()['id']}"
        wait_until(lambda: self.get(path)["state"] == "awaiting_payment", "the instructions")  # a 202 has none yet
        return self.get(path)

    def record(self, amount_minor: int, bank_reference: str, key: str | None = None, **which: Any) -> Any:
        """What a clerk does with money on the bank's statement; `which` says the order and may say the method."""
        body = {
            "method": "wire", "amount": {"amount_minor": amount_minor, "currency": "USD"},
            "received_on": datetime.now(UTC).date().isoformat(), "bank_reference": bank_reference, **which,
        }  # fmt: skip
        return self.ask("POST", "/v1/admin/payments/receipts", body, key=key or str(uuid.uuid4()))

    def fulfilled(self, order_id: str, timeout_s: float = 60) -> Any:
        """The order once it is fulfilled."""
        wait_until(lambda: self.get(f"/v1/orders/{order_id}")["state"] == "fulfilled", "the order", timeout_s)
        return self.get(f"/v1/orders/{order_id}")

    def balance(self) -> int:
        return int(self.get("/v1/credits")["balance"])


def number_and_code(mail: dict[str, Any]) -> tuple[str, str]:
    """What a person reads off a card mail."""
    number = re.search(r"^Card number: (.+)$", mail["text"], re.MULTILINE)
    code = re.search(r"^Claim code: (.+)$", mail["text"], re.MULTILINE)
    assert number, mail["text"]
    assert code, mail["text"]
    return number[1].strip(), code[1].strip()


def card_mail(store: Store, order: Any, timeout_s: float = 60) -> dict[str, Any]:
    """The one card mail of an order of one card, once it is there."""
    wait_until(lambda: store.card_mails(order["number"]), "the card mail", timeout_s)
    (mail,) = store.card_mails(order["number"])
    return mail


def settle(seconds: float = 1.0) -> None:
    """Give something that must not happen the time to happen."""
    time.sleep(seconds)
