"""A customer's program: puts a pack of credits into the cart and pays for it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

import requests

from benchmarks.children import BenchmarkError
from benchmarks.store.opened import PASSWORD, Store

PACK = "HOURLY-300"
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was answered with 201.

    Args:
        id, number: the order's.
        at: when the 201 was here, by `time.monotonic()`.
    """

    id: str
    number: str
    at: float


class Buyer:
    """One signed-in user with a connection and a cart of its own.

    Args:
        store: where.
        email: who.
    """

    def __init__(self, store: Store, email: str) -> None:
        self._store = store
        self._http = requests.Session()
        session = self._send("POST", "/v1/sessions", 201, {"email": email, "password": PASSWORD})
        self._http.headers["Authorization"] = f"Bearer {session['token']}"

    def buy(self) -> Placed:
        """A complete checkout, as far as a client takes part in it: two requests.

        Raises:
            BenchmarkError: the store answered something else.
        """
        line = {"sku": PACK, "quantity": 1, "credit_destination": "support_card"}
        cart = self._send("POST", "/v1/cart/lines", 200, line)
        order = {
            "payment": {"method": "card", "provider_token": self._store.card_token},
            "accept_terms": cart["terms_version"],
            "expected_total": cart["totals"]["total"],
        }
        placed = self._send("POST", "/v1/orders", 201, order, {"Idempotency-Key": str(uuid.uuid4())})
        return Placed(placed["id"], placed["number"], time.monotonic())

    def fulfilled(self, placed: Placed, deadline: float) -> dict[str, Any]:
        """The order once it is fulfilled.

        Raises:
            BenchmarkError: it was not at the deadline, or has not exactly one card.
        """
        while True:
            order: dict[str, Any] = self._send("GET", f"/v1/orders/{placed.id}", 200)
            if order["state"] == "fulfilled":
                break
            if time.monotonic() > deadline:
                raise BenchmarkError(f"order {placed.number} is {order['state']} and not fulfilled")
        if len(order["support_cards"]) != 1:
            raise BenchmarkError(f"order {placed.number} has {len(order['support_cards'])} cards")
        return order

    def _send(
        self, method: str, path: str, status: int, body: Any = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        response = self._http.request(
            method, self._store.base_url + path, json=body, headers=headers, timeout=_TIMEOUT_S
        )
        if response.status_code != status:
            raise BenchmarkError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        answer: dict[str, Any] = response.json()
        return answer
