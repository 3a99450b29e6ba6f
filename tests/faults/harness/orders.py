"""Orders that are placed while something breaks."""

from __future__ import annotations

import threading
from typing import Any

import requests
from store import Client

from chassis.testing import wait_until
from harness.faulty import FaultyStore


class Asked:
    """An order that is being placed, in a thread of its own."""

    def __init__(self, client: Client, body: dict[str, Any], key: str) -> None:
        self.client, self.body, self.key = client, body, key
        self._answer: Any = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._answer = self.client.place(self.body, self.key)
        except requests.RequestException:
            self._answer = None

    def answer(self) -> Any:
        """What was answered; None if the connection broke."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._answer


def ready_to_order(client: Client) -> dict[str, Any]:
    client.empty_cart()
    return client.order_body(client.fill_cart())


def until_answered(client: Client, body: dict[str, Any], key: str) -> Any:
    """The answer that says what became of it, asked for with the same key as long as there is none."""
    answers: list[Any] = []

    def decided() -> bool:
        try:
            answers.append(client.place(body, key))
        except requests.RequestException:
            return False
        return answers[-1].status_code < 500 and answers[-1].status_code not in (202, 409)

    wait_until(decided, "an answer", 60)
    return answers[-1]


def charges_under_way(faulty: FaultyStore) -> int:
    """How many charges are being made."""
    return int(faulty.rows("payments", "SELECT count(*) FROM payment_attempt WHERE state = 'processing'")[0][0])


def answered_at_all(client: Client, body: dict[str, Any], key: str) -> Any:
    """The first answer that is not 503."""
    answers: list[Any] = []

    def answered() -> bool:
        answers.append(client.place(body, key))
        return bool(answers[-1].status_code != 503)

    wait_until(answered, "an answer", 60)
    return answers[-1]
