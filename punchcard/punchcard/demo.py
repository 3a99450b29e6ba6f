"""The main job over HTTP, step by step, as a client program would do it: buy a card, read the mail, claim the card."""

from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

import requests

from punchcard.says import say

_MAIL_TIMEOUT_S = 30.0


class Stopped(Exception):
    """The walk could not go on; says where and what to do."""


class Client:
    """A signed-in client of the public HTTP API.

    Args:
        base_url: the store's address.
        email, password: whose.
    """

    def __init__(self, base_url: str, email: str, password: str) -> None:
        self._base_url = base_url
        self._http = requests.Session()
        answer = self.send("POST", "/v1/sessions", {"email": email, "password": password})
        self._http.headers["Authorization"] = f"Bearer {answer['token']}"
        self.organization = answer["organization"]["name"]

    def send(self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """A request and its JSON answer.

        Args:
            method, path: which route.
            body: JSON values.
            key: the Idempotency-Key, for what moves money, credits or cards.

        Raises:
            Stopped: with the problem's title and detail.
        """
        headers = {"Idempotency-Key": key} if key else {}
        response = self._http.request(method, self._base_url + path, json=body, headers=headers, timeout=30)
        if response.ok:
            return response.json() if response.content else None
        problem = response.json()
        raise Stopped(f"{method} {path}: {response.status_code} {problem.get('code')}: {problem.get('detail')}")


def walk(file: Path | None) -> None:
    """Do it against the store that `file` (its ``demo.json``) describes, printing each step.

    Raises:
        Stopped: the store is not there, or a step failed.
    """
    demo = _read(file)
    users = {(user["organization_id"], user["role"]): user for user in demo["users"]}
    buyer, claimant = users["org_acme", "buyer"], users["org_globex", "buyer"]
    mail_url = demo.get("mail_url", f"{demo['base_url']}/dev/mail") + ".json"
    try:
        acme = Client(demo["base_url"], buyer["email"], buyer["password"])
        say(f"1  signed in as {buyer['email']} of {acme.organization}")
        order = _buy(acme, demo["provider_tokens"]["success"])
        mail = _card_mail(mail_url, order["number"], buyer["email"])
        number, code = _line(mail, "Card number"), _line(mail, "Claim code")
        say(f"5  mail to {mail['to']}: {mail['subject']!r}: card {number}, code ending in {code[-4:]}")
        globex = Client(demo["base_url"], claimant["email"], claimant["password"])
        _claim(globex, number, code)
        for client in (acme, globex):
            say(f"8  balance of {client.organization}: {client.send('GET', '/v1/credits')['balance']} credits")
    except requests.ConnectionError as error:
        raise Stopped(f"No store answers at {demo['base_url']}. Start one in another terminal: make run") from error


def _buy(client: Client, token: str) -> dict[str, Any]:
    products = client.send("GET", "/v1/products")["items"]
    pack = min((item for item in products if item["kind"] == "credit_pack"), key=lambda item: int(item["credits"]))
    line = {"sku": pack["sku"], "quantity": 1, "credit_destination": "support_card"}
    cart = client.send("GET", "/v1/cart")
    for leftover in cart["lines"]:
        client.send("DELETE", f"/v1/cart/lines/{leftover['id']}")
    cart = client.send("POST", "/v1/cart/lines", line)
    total = cart["totals"]["total"]
    say(f"2  in the cart: {pack['name']} on a support credit card, {_money(total)}")
    body = {
        "payment": {"method": "card", "provider_token": token},
        "accept_terms": cart["terms_version"],
        "expected_total": total,
    }
    order: dict[str, Any] = client.send("POST", "/v1/orders", body, key=str(uuid.uuid4()))
    card = order["payment"].get("card") or {}
    say(f"3  order {order['number']}: {order['state']}, {card.get('brand')} ending in {card.get('last4')}")
    deadline = time.monotonic() + _MAIL_TIMEOUT_S
    while order["state"] != "fulfilled" and time.monotonic() < deadline:
        time.sleep(0.1)
        order = client.send("GET", f"/v1/orders/{order['id']}")
    cards = ", ".join(f"{each['number_masked']} {each['state']}" for each in order["support_cards"])
    say(f"4  order {order['number']}: {order['state']}; {cards}")
    return order


def _claim(client: Client, number: str, code: str) -> None:
    body = {"number": number, "code": code}
    preview = client.send("POST", "/v1/support-cards/preview", body)
    say(f"6  {client.organization} looks at it: {preview['credits']} credits for {preview['organization']['name']}")
    claimed = client.send("POST", "/v1/support-cards/claim", body, key=str(uuid.uuid4()))
    say(f"7  {client.organization} claimed it: {claimed['credits']} credits")


def _card_mail(url: str, order_number: str, to: str) -> dict[str, Any]:
    deadline = time.monotonic() + _MAIL_TIMEOUT_S
    while time.monotonic() < deadline:
        for mail in requests.get(url, timeout=10).json()["items"]:
            if to in mail["to"] and order_number in mail["text"] and "Claim code:" in mail["text"]:
                found: dict[str, Any] = mail
                return found
        time.sleep(0.1)
    raise Stopped(f"No card mail came within {_MAIL_TIMEOUT_S:g} s; see {url}")


def _line(mail: dict[str, Any], name: str) -> str:
    found = re.search(rf"^{name}: (.+)$", mail["text"], re.MULTILINE)
    if found is None:
        raise Stopped(f"The mail has no line {name!r}")
    return found[1].strip()


def _money(amount: dict[str, Any]) -> str:
    from kernel.money import Money

    return str(Money(amount["amount_minor"], amount["currency"]))


def _read(file: Path | None) -> dict[str, Any]:
    candidates = [file] if file else [Path(".run/demo.json"), Path(".run/services/demo.json")]
    existing = sorted((path for path in candidates if path.exists()), key=lambda path: path.stat().st_mtime)
    if not existing:
        raise Stopped("No store has run here yet. Start one in another terminal: make run")
    demo: dict[str, Any] = json.loads(existing[-1].read_text())
    return demo
