"""3-D Secure: the payer confirms at the provider while services die, webhooks are lost and minds are changed. At most
one attempt captures, and what the payer was told is so.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from harness.asking import killed_once, new_key, until_final
from harness.faulty import FaultyStore, assert_nothing_broken
from store import Client

from chassis.testing import wait_until
from kernel.clock import rfc3339

pytestmark = pytest.mark.journey

_CARD = {"payment": {"method": "card"}}
#: Where cart dies while it learns that the card was charged.
_IN_CART = ("request.worked", "outbox.committed", "event.handled", "relay.published")
_IMPATIENT = {"PAYMENTS_PROVIDER_READ_TIMEOUT_MS": "1500"}


def _waiting(faulty: FaultyStore, rng: random.Random) -> tuple[Client, Any]:
    """An order whose card waits for its payer."""
    ada = faulty.client()
    ada.empty_cart()
    body = ada.order_body(ada.fill_cart(), "3ds")
    placed = ada.insist(lambda: ada.place(body, new_key(rng)))
    assert placed.status_code == 202, placed.text
    return ada, _until_asked(ada, placed.json()["id"])


def _until_asked(client: Client, order_id: str) -> Any:
    path = f"/v1/orders/{order_id}"
    wait_until(lambda: client.get(path)["next_action"] is not None, "the payer to be asked", 60)
    return client.get(path)


def _decide(order: Any, outcome: str = "confirm") -> Any:
    """What the payer does on the provider's page."""
    return requests.post(order["next_action"]["url"], json={"outcome": outcome}, timeout=30)


def _resume(client: Client, order: Any, rng: random.Random) -> Any:
    return until_final(client, f"/v1/orders/{order['id']}/payment", _CARD, new_key(rng))


def _assert_paid_once(faulty: FaultyStore, client: Client, order: Any) -> None:
    client.fulfilled(order["id"])
    due = order["totals"]["total"]["amount_minor"]
    assert [charge["amount_minor"] for charge in faulty.charges(order["id"])] == [due]


def test_services_killed_while_the_payer_confirms(faulty: FaultyStore, rng: random.Random) -> None:
    """Payments dies when the provider has asked for the payer, and again when it says that the money is taken; cart
    dies while it learns of that.
    """
    with killed_once(faulty, {"payments": "payments.charged"}, **_IMPATIENT):
        ada, order = _waiting(faulty, rng)
    with faulty.unsupervised():  # nobody asks the provider before the next process of payments, which dies of it
        faulty.kill_9("payments")
        assert _decide(order).status_code == 200
    with killed_once(faulty, {"payments": "payments.charged", "cart": rng.choice(_IN_CART)}, **_IMPATIENT):
        resumed = _resume(ada, order, rng)
        assert (resumed.status_code, resumed.json()["id"]) == (200, order["id"]), resumed.text
        _assert_paid_once(faulty, ada, order)
    assert_nothing_broken(faulty)


def test_confirmed_by_many_at_once_and_nobody_tells(faulty: FaultyStore, rng: random.Random) -> None:
    """The page is sent several times, by somebody who has changed their mind in between perhaps; the webhook is lost,
    the payer never comes back, and each confirmation is the same one.
    """
    _relaunch_provider(faulty, PAYMENTS_WEBHOOK_URL="http://127.0.0.1:9/")  # nobody listens there
    try:
        for others in ("confirm", "refuse"):
            ada, order = _waiting(faulty, rng)
            outcomes = rng.sample(["confirm", "confirm", others, others], 4)
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda outcome, order=order: _decide(order, outcome), outcomes))
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
            (decided,) = [answer.json()["status"] for answer in answers if answer.status_code == 200]
            assert {answer.json()["error"]["outcome"] for answer in answers if not answer.ok} == {decided}
            if decided == "succeeded":
                _assert_paid_once(faulty, ada, order)
            else:
                wait_until(lambda ada=ada, order=order: ada.get(f"/v1/orders/{order['id']}")["state"] == "cancelled",
                           "the order to end by itself", 60)  # fmt: skip
                assert faulty.charges(order["id"]) == []
    finally:
        _relaunch_provider(faulty)
    assert_nothing_broken(faulty)


def test_abandoned_and_resumed_after_everything_was_killed(faulty: FaultyStore, rng: random.Random) -> None:
    ada, order = _waiting(faulty, rng)
    for name in rng.sample(["provider", "payments", "cart", "gateway"], 4):
        faulty.kill_9(name)
    faulty.wait_ready()
    key = new_key(rng)
    path = f"/v1/orders/{order['id']}/payment"
    first = ada.insist(lambda: ada.ask("POST", path, _CARD, key=key))
    assert (first.status_code, first.json()["next_action"]["url"]) == (202, order["next_action"]["url"]), first.text
    _wait_for_provider(faulty)
    assert _decide(order).status_code == 200
    with ThreadPoolExecutor(4) as pool:  # the payer's tabs come back, and the webhook does
        answers = list(pool.map(lambda key: until_final(ada, path, _CARD, key), [key, key, new_key(rng), new_key(rng)]))
    assert {answer.status_code for answer in answers} == {200}
    _assert_paid_once(faulty, ada, order)
    assert_nothing_broken(faulty)


def test_abandoned_for_another_card_while_payments_is_killed(faulty: FaultyStore, rng: random.Random) -> None:
    """Payments dies between the void of the first card and the charge of the next; the payer confirms the first one
    all the same, before or after.
    """
    ada, order = _waiting(faulty, rng)
    too_late = rng.random() < 0.5
    other = {"payment": {"method": "card", "provider_token": faulty.demo["provider_tokens"]["success"]}}
    with killed_once(faulty, {"payments": "payments.charged"}, **_IMPATIENT), ThreadPoolExecutor(1) as pool:
        if not too_late:
            confirming = pool.submit(_decide, order)
        changed = until_final(ada, f"/v1/orders/{order['id']}/payment", other, new_key(rng))
        answer = _decide(order) if too_late else confirming.result()
    if too_late:
        assert (answer.status_code, answer.json()["error"]["outcome"]) == (409, "voided")
    if changed.status_code != 200:  # the confirmation was the faster one: that card has paid
        assert (too_late, changed.json()["code"]) == (False, "order_already_paid"), changed.text
    _assert_paid_once(faulty, ada, order)
    assert_nothing_broken(faulty)


def test_charged_after_it_was_given_up_is_given_back_once(faulty: FaultyStore, rng: random.Random) -> None:
    """The provider breaks its word: the card is void, the order cancelled, and the money is taken all the same. It says
    so twice; payments dies when it has given the money back, and has not noted it.
    """
    ada, order = _waiting(faulty, rng)
    fay = faulty.client("fay@punchcard.example")
    ada.insist(lambda: ada.ask("POST", f"/v1/orders/{order['id']}/cancel", key=new_key(rng)))
    wait_until(lambda: ada.get(f"/v1/orders/{order['id']}")["state"] == "cancelled", "the order to be cancelled", 60)
    review = f"/v1/admin/payments/review?order_id={order['id']}"
    with killed_once(faulty, {"payments": "payments.refunded"}, **_IMPATIENT):
        _charge_all_the_same(faulty, order)
        wait_until(lambda: [item["settlement"] for item in _items(fay, review)] == ["returned"], "the money to go", 60)
    (listed,) = _items(fay, review)
    assert (listed["reason"], listed["amount"]) == ("stray_capture", order["totals"]["total"])
    assert ada.get(f"/v1/orders/{order['id']}")["state"] == "cancelled"
    told = [item["what"] for item in ada.get(f"/v1/orders/{order['id']}/timeline")["items"]]
    assert (told.count("payment.stray_captured"), told.count("payment.stray_returned")) == (1, 1)
    assert_nothing_broken(faulty)  # the provider's own book, too: what it took is what it gave back


def _items(client: Client, path: str) -> list[Any]:
    response = client.insist(lambda: client.ask("GET", path))
    assert response.status_code == 200, response.text
    found: list[Any] = response.json()["items"]
    return found


def _charge_all_the_same(faulty: FaultyStore, order: Any) -> None:
    """Write into the provider's book what it should never do, with the news of it, due at once and again."""
    [(key,)] = faulty.rows(
        "payments",
        "SELECT provider_key FROM payment_attempt JOIN payment_intent i ON i.id = intent_id WHERE order_id = :id",
        id=order["id"],
    )
    now = datetime.now(UTC)
    with contextlib.closing(sqlite3.connect(faulty.folder / "provider.db", timeout=30)) as book, book:
        book.execute(
            "INSERT INTO charge (id, idempotency_key, request_hash, token, status, amount_minor, currency, reference,"
            " brand, last4, created_at) VALUES (?, ?, '', '', 'succeeded', ?, 'USD', ?, 'visa', '3220', ?)",
            (f"ch_{key}", key, order["totals"]["total"]["amount_minor"], order["id"], rfc3339(now)),
        )
        book.executemany(
            "INSERT INTO news (event_id, copy, type, idempotency_key, created_at, due_at)"
            " VALUES (?, 0, 'charge.succeeded', ?, ?, ?)",
            [(f"evt_{number}_{key}", key, rfc3339(now), now.timestamp()) for number in range(2)],
        )


def _relaunch_provider(faulty: FaultyStore, **environment: str) -> None:
    faulty.relaunch("provider", **environment)
    _wait_for_provider(faulty)


def _wait_for_provider(faulty: FaultyStore) -> None:
    def answers() -> bool:
        try:
            return requests.get(f"{faulty.demo['provider_url']}/healthz", timeout=10).ok
        except requests.RequestException:
            return False

    wait_until(answers, "the provider to answer", 60)
