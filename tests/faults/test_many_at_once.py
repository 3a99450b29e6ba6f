"""Impatient people: a double click with fifty threads, one key for two bodies, fifty claims of one card."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from harness.faulty import FaultyStore, assert_nothing_broken
from store import Client, card_mail, number_and_code

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

_THREADS = 50


def _key(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _final(client: Client, body: Any, key: str) -> Any:
    """The answer once nothing with that key is under way."""
    answers: list[Any] = []

    def final() -> bool:
        answers.append(client.place(body, key))
        return answers[-1].status_code not in (202, 409, 503)

    wait_until(final, "a final answer", 60)
    return answers[-1]


def test_a_double_click_with_fifty_threads_is_one_order_and_one_charge(faulty: FaultyStore, rng: random.Random) -> None:
    alan = faulty.client("alan@acme.example")
    alan.empty_cart()
    body, key = alan.order_body(alan.fill_cart()), _key(rng)

    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(lambda _: alan.place(body, key), range(_THREADS)))

    final = _final(alan, body, key)
    assert (final.status_code, final.headers["Idempotent-Replayed"]) == (201, "true")
    order_id = final.json()["id"]
    for answer in answers:
        assert answer.status_code in (201, 202, 409, 503), answer.text
        if answer.status_code == 409:
            assert answer.json()["code"] == "idempotency_key_in_flight"
        elif answer.status_code != 503:
            assert answer.json()["id"] == order_id
    assert any(answer.status_code == 201 for answer in answers)
    assert len(faulty.charges(order_id)) == 1
    alan.fulfilled(order_id)
    assert_nothing_broken(faulty)


def test_one_key_with_two_bodies_at_once_is_one_of_them(faulty: FaultyStore, rng: random.Random) -> None:
    alan = faulty.client("alan@acme.example")
    alan.empty_cart()
    cart, key = alan.fill_cart(), _key(rng)
    bodies = [alan.order_body(cart, purchase_order={"number": number}) for number in ("PO-1", "PO-2")]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: (number % 2, alan.place(bodies[number % 2], key)), range(16)))

    finals = [_final(alan, body, key) for body in bodies]
    assert sorted(final.status_code for final in finals) == [201, 422]
    winner = 0 if finals[0].status_code == 201 else 1
    order = finals[winner].json()
    assert order["purchase_order"] == {"number": f"PO-{winner + 1}"}
    assert finals[1 - winner].json()["code"] == "idempotency_key_reused"
    for number, answer in answers:
        if number == winner:
            assert answer.status_code in (201, 202, 409, 503), answer.text
        else:
            # refused as reused; or, before the winner had the key, because its order of the same cart was being paid
            assert answer.status_code in (422, 409, 503), answer.text
    assert len(faulty.charges(order["id"])) == 1
    alan.fulfilled(order["id"])
    assert_nothing_broken(faulty)


def test_fifty_claims_of_one_card_are_one_claim_and_the_eleventh_failure_waits(
    faulty: FaultyStore, rng: random.Random
) -> None:
    ada, gus = faulty.client("ada@acme.example"), faulty.client("gus@globex.example")
    ada.empty_cart()
    number, code = number_and_code(card_mail(faulty, ada.buy_card()))
    bearer, before = {"number": number, "code": code}, gus.balance()
    keys = [_key(rng) for _ in range(_THREADS)]
    _forget_failures(faulty)  # of tests before this one, from the same address
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            answers = list(pool.map(lambda key: gus.ask("POST", "/v1/support-cards/claim", bearer, key=key), keys))
        codes = Counter(answer.json().get("code", "claimed") for answer in answers)
        assert codes == {"claimed": 1, "card_not_claimable": 10, "too_many_attempts": 39}
        waiting = [answer for answer in answers if answer.status_code == 429]
        assert all(0 < int(answer.headers["Retry-After"]) <= 600 for answer in waiting)
        assert gus.balance() == before + 300
        [won] = [key for key, answer in zip(keys, answers, strict=True) if answer.status_code == 200]
        replay = gus.ask("POST", "/v1/support-cards/claim", bearer, key=won)
        assert (replay.status_code, replay.headers["Idempotent-Replayed"]) == (200, "true"), "a replay never waits"
        seen = gus.ask("POST", "/v1/support-cards/preview", bearer)
        assert (seen.status_code, seen.json()["code"]) == (429, "too_many_attempts")
    finally:
        _forget_failures(faulty)
    assert_nothing_broken(faulty)


def _forget_failures(faulty: FaultyStore) -> None:
    with faulty.database("credits") as connection:
        connection.execute(sa.text("DELETE FROM recent_failure"))
