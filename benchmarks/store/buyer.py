"""A customer's program: puts a pack of credits into the cart and pays for it."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from benchmarks.children import BenchmarkError
from benchmarks.store.http import Connection
from benchmarks.store.opened import PASSWORD, Store

PACK = "HOURLY-300"
_LINE = json.dumps({"sku": PACK, "quantity": 1, "credit_destination": "support_card"}).encode()


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
        self._http = Connection(store.base_url)
        who = json.dumps({"email": email, "password": PASSWORD}).encode()
        self._http.headers = (
            f"Authorization: Bearer {self._send('POST', '/v1/sessions', 201, who)['token']}\r\n".encode()
        )

    def buy(self) -> Placed:
        """A complete checkout, as far as a client takes part in it: two requests.

        Raises:
            BenchmarkError: the store answered something else.
        """
        cart = self._send("POST", "/v1/cart/lines", 200, _LINE)
        order = {
            "payment": {"method": "card", "provider_token": self._store.card_token},
            "accept_terms": cart["terms_version"],
            "expected_total": cart["totals"]["total"],
        }
        key = f"Idempotency-Key: {uuid.uuid4()}\r\n".encode()
        placed = self._send("POST", "/v1/orders", 201, json.dumps(order).encode(), key)
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

    def _send(self, method: str, path: str, wanted: int, body: bytes = b"", headers: bytes = b"") -> dict[str, Any]:
        status, answer = self._http.ask(method, path, body, headers)
        if status != wanted:
            raise BenchmarkError(f"{method} {path}: {status} {str(answer)[:500]}")
        found: dict[str, Any] = answer
        return found
