"""Saved cards: the provider keeps a card, or forgets it, and the service dies before it has written that down."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from harness.asking import killed_once, new_key, until_final
from harness.faulty import FaultyStore, assert_nothing_broken
from store import Client

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

_METHODS = "/v1/payment-methods"


def _token(faulty: FaultyStore) -> str:
    """A one-time token, as the payer's browser gets it."""
    card = {"number": "5555555555554444", "exp_month": 12, "exp_year": 2099, "cvc": "123", "name": "Gus"}
    return str(requests.post(f"{faulty.demo['provider_url']}/tokens", json=card, timeout=30).json()["token"])


def _kept(faulty: FaultyStore, token: str) -> list[tuple[str, bool]]:
    """What the provider's own book says of a token: each card that was kept, and whether it is forgotten."""
    with contextlib.closing(sqlite3.connect(faulty.folder / "provider.db")) as book:
        return [
            (card, bool(forgotten))
            for card, forgotten in book.execute(
                "SELECT id, EXISTS (SELECT 1 FROM forgotten WHERE card_id = id) FROM card_on_file WHERE token = ?",
                (token,),
            )
        ]


def _saved(client: Client) -> list[str]:
    return [method["id"] for method in client.insist(lambda: client.ask("GET", _METHODS)).json()["items"]]


def _given_up(faulty: FaultyStore) -> bool:
    """Whether a card that was being saved is nobody's by now."""
    return bool(
        faulty.rows("payments", "SELECT 1 FROM payment_method WHERE state = 'saving' AND next_check_at < now()")
    )


def _forget(faulty: FaultyStore, client: Client, method_id: str, token: str) -> None:
    """Remove a card. The provider's book has it forgotten, too."""
    removed = client.insist(lambda: client.ask("DELETE", f"{_METHODS}/{method_id}"))
    assert removed.status_code == 204, removed.text
    faulty.kill_9("payments")  # before it has told the provider, most likely: the next process does
    wait_until(lambda: [forgotten for _, forgotten in _kept(faulty, token)] == [True], "the card to be forgotten", 60)
    assert client.insist(lambda: client.ask("DELETE", f"{_METHODS}/{method_id}")).status_code == 404


def test_a_card_is_saved_once_and_forgotten_at_the_provider_too(faulty: FaultyStore, rng: random.Random) -> None:
    """Payments dies when the provider keeps the card, asked by several requests under one key."""
    gus = faulty.client("gus@globex.example")
    before, token, key = _saved(gus), _token(faulty), new_key(rng)
    wish = {"provider_token": token, "save": True}
    with (
        killed_once(faulty, {"payments": "payments.card_kept"}, PAYMENTS_PROVIDER_READ_TIMEOUT_MS="1500"),
        ThreadPoolExecutor(4) as pool,
    ):
        answers = list(pool.map(lambda _: until_final(gus, _METHODS, wish, key), range(4)))
    assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
    (method_id,) = {answer.json()["id"] for answer in answers}
    assert sorted(_saved(gus)) == sorted([*before, method_id])
    assert [forgotten for _, forgotten in _kept(faulty, token)] == [False]

    gus.empty_cart()
    cart = gus.fill_cart(destination="organization")
    by_it: dict[str, Any] = {"method": "card", "payment_method_id": method_id}
    paid = until_final(gus, "/v1/orders", gus.order_body(cart, payment=by_it), new_key(rng))
    assert (paid.status_code, paid.json()["payment"]["card"]["last4"]) == (201, "4444"), paid.text
    assert len(faulty.charges(paid.json()["id"])) == 1

    _forget(faulty, gus, method_id, token)
    gus.fill_cart(destination="organization")
    refused = until_final(gus, "/v1/orders", gus.order_body(cart, payment=by_it), new_key(rng))
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), refused.text
    assert_nothing_broken(faulty)


def test_a_card_is_saved_though_nobody_asks_again(faulty: FaultyStore, rng: random.Random) -> None:
    """The buyer has gone home; what the provider keeps is listed all the same, or else nobody could remove it."""
    gus = faulty.client("gus@globex.example")
    before, token = _saved(gus), _token(faulty)
    with killed_once(faulty, {"payments": "payments.card_kept"}, PAYMENTS_PROVIDER_READ_TIMEOUT_MS="1000"):
        with contextlib.suppress(requests.RequestException):
            gus.ask("POST", _METHODS, {"provider_token": token, "save": True}, key=new_key(rng))
        wait_until(
            lambda: _given_up(faulty) or _saved(gus) != before,
            "the lease of whoever died to end, or the next to start",
            60,
        )
    faulty.kill_9("payments")  # the next process looks for what is to be done at once, this one every thirty seconds
    assert [forgotten for _, forgotten in _kept(faulty, token)] == [False]
    wait_until(lambda: set(_saved(gus)) - set(before), "the card to be listed", 60)
    (method_id,) = set(_saved(gus)) - set(before)
    _forget(faulty, gus, method_id, token)
