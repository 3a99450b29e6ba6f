"""A client of the public HTTP API, as a program of anybody's would be one, and the mailbox of the demo."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from kernel.money import Money

#: Seconds that anything of the demo may take.
_PATIENCE_S = 30.0


class Stopped(Exception):
    """The walk could not go on; says where and what to do."""


@dataclass(frozen=True, slots=True)
class Refused(Stopped):
    """The store said no.

    Args:
        request: what was asked.
        status: of the answer.
        code: the problem's.
        detail: for people.
    """

    request: str
    status: int
    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.request}: {self.status} {self.code}: {self.detail}"


class Client:
    """A signed-in client of the public HTTP API.

    Args:
        base_url: the store's address.
        email, password: whose.
    """

    def __init__(self, base_url: str, email: str, password: str) -> None:
        self._base_url = base_url
        self._http = requests.Session()
        self.email = email
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
            Refused: with the problem's code and detail.
        """
        headers = {"Idempotency-Key": key} if key else {}
        response = self._http.request(method, self._base_url + path, json=body, headers=headers, timeout=30)
        if response.ok:
            return response.json() if response.content else None
        problem = response.json()
        raise Refused(f"{method} {path}", response.status_code, str(problem.get("code")), str(problem.get("detail")))

    def get(self, path: str) -> Any:
        """What is there."""
        return self.send("GET", path)

    def act(self, path: str, body: dict[str, Any]) -> Any:
        """Something that must happen once, however often it is sent."""
        return self.send("POST", path, body, key=str(uuid.uuid4()))

    def fill_cart(self, *lines: dict[str, Any]) -> dict[str, Any]:
        """The cart with these lines and no others."""
        cart: dict[str, Any] = self.get("/v1/cart")
        for leftover in cart["lines"]:
            self.send("DELETE", f"/v1/cart/lines/{leftover['id']}")
        for line in lines:
            cart = self.send("POST", "/v1/cart/lines", line)
        return cart

    def place(self, cart: dict[str, Any], payment: dict[str, Any]) -> dict[str, Any]:
        """The cart as an order."""
        body = {
            "payment": payment,
            "accept_terms": cart["terms_version"],
            "expected_total": cart["totals"]["total"],
        }
        order: dict[str, Any] = self.act("/v1/orders", body)
        return order

    def fulfilled(self, order: dict[str, Any]) -> dict[str, Any]:
        """The order once all of it was handed over."""

        def done() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"/v1/orders/{order['id']}")
            return found if found["state"] == "fulfilled" else None

        return patiently(done, f"order {order['number']} is not fulfilled")


class Mailbox:
    """The mails of the demo.

    Args:
        url: its list as JSON.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def card_mail(self, to: str, *texts: str) -> dict[str, Any]:
        """The mail with a card's claim code that has all these texts in it."""

        def came() -> dict[str, Any] | None:
            for mail in requests.get(self._url, timeout=10).json()["items"]:
                if to in mail["to"] and all(text in mail["text"] for text in ("Claim code:", *texts)):
                    found: dict[str, Any] = mail
                    return found
            return None

        return patiently(came, f"no card mail came; see {self._url}")


def patiently(ask: Callable[[], dict[str, Any] | None], otherwise: str) -> dict[str, Any]:
    """What `ask` finds, asked again until it does.

    Raises:
        Stopped: it took too long; with `otherwise`.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        found = ask()
        if found is not None:
            return found
        time.sleep(0.1)
    raise Stopped(f"After {_PATIENCE_S:g} s, {otherwise}")


def line_of(mail: dict[str, Any], name: str) -> str:
    """What a person reads behind ``name:``."""
    found = re.search(rf"^{name}: (.+)$", mail["text"], re.MULTILINE)
    if found is None:
        raise Stopped(f"The mail has no line {name!r}")
    return found[1].strip()


def money(amount: dict[str, Any]) -> str:
    """An amount as people write it."""
    return str(Money(amount["amount_minor"], amount["currency"]))
