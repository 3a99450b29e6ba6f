"""Credits and money both ways: fifty spends of a balance of ten, a refund against a claim, a refund that dies."""

from __future__ import annotations

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness.faulty import FaultyStore, assert_nothing_broken
from store import Client, card_mail, number_and_code

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

_THREADS = 50


def _key(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _spend(support: Client, credits: int, cause: str) -> Any:
    body = {"organization_id": "org_globex", "credits": credits, "cause": cause, "memo": "A ticket"}
    return support.insist(lambda: support.ask("POST", "/v1/admin/credits/spends", body, key=cause))


def _refund(finance: Client, order_id: str, key: str) -> Any:
    """Ask for a refund until the answer is final."""
    answers: list[Any] = []

    def final() -> bool:
        answers.append(
            finance.insist(
                lambda: finance.ask("POST", f"/v1/admin/orders/{order_id}/refund", {"reason": "Bought twice"}, key=key)
            )
        )
        waits = answers[-1].status_code == 202 or answers[-1].json().get("code") == "idempotency_key_in_flight"
        return not waits

    wait_until(final, "the refund to end", 120)
    return answers[-1]


def test_fifty_spends_of_a_balance_of_ten_take_what_fits(faulty: FaultyStore, rng: random.Random) -> None:
    gus, sam = faulty.client("gus@globex.example"), faulty.client("sam@punchcard.example")
    gus.empty_cart()
    order = gus.place(gus.order_body(gus.fill_cart("HOURLY-120", "organization"))).json()
    gus.fulfilled(order["id"])
    before = gus.balance()
    if before > 10:
        assert _spend(sam, before - 10, f"first-{_key(rng)}").status_code == 201
    assert gus.balance() == 10
    causes = [_key(rng) for _ in range(_THREADS)]

    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(lambda cause: _spend(sam, 3, cause), causes))

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 47
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"insufficient_credits"}
    assert gus.balance() == 1
    assert_nothing_broken(faulty)


def test_a_refund_against_a_claim_has_one_winner(faulty: FaultyStore, rng: random.Random) -> None:
    ada, gus, fay = (
        faulty.client(f"{who}.example") for who in ("ada@acme", "gus@globex", "fay@punchcard")
    )  # fmt: skip
    ada.empty_cart()
    for _ in range(3):
        order = ada.fulfilled(ada.buy_card()["id"])
        number, code = number_and_code(card_mail(faulty, order))
        before, key, refund_key = gus.balance(), _key(rng), _key(rng)
        with ThreadPoolExecutor(2) as pool:
            claim = pool.submit(
                lambda number=number, code=code, key=key: gus.insist(
                    lambda: gus.ask("POST", "/v1/support-cards/claim", {"number": number, "code": code}, key=key)
                )
            )
            refund = pool.submit(_refund, fay, order["id"], refund_key)
        if claim.result().status_code == 200:
            assert (refund.result().status_code, refund.result().json()["code"]) == (409, "credits_in_use")
            assert (gus.balance() - before, ada.get(f"/v1/orders/{order['id']}")["state"]) == (300, "fulfilled")
        else:
            assert claim.result().json()["code"] == "card_not_claimable"
            assert refund.result().status_code == 201, refund.result().text
            assert (gus.balance() - before, ada.get(f"/v1/orders/{order['id']}")["state"]) == (0, "refunded")
    assert_nothing_broken(faulty)


def test_a_refund_whose_services_are_killed_in_the_middle_gives_back_once(
    faulty: FaultyStore, rng: random.Random
) -> None:
    """cart dies between the credits and the money, payments between the provider's answer and writing it down."""
    ada, fay = faulty.client(), faulty.client("fay@punchcard.example")
    ada.empty_cart()
    order = ada.fulfilled(ada.buy_card(2)["id"])
    places = {"cart": "cart.refunding", "payments": "payments.refunded"}
    before = {name: faulty.lines_of(name, f"failpoint {place}: kill") for name, place in places.items()}
    faulty.relaunch_each({name: {"PUNCHCARD_FAILPOINTS": f"{place}=kill@1"} for name, place in places.items()})

    answer = _refund(fay, order["id"], _key(rng))

    assert answer.status_code == 201, answer.text
    for name, place in places.items():
        assert faulty.lines_of(name, f"failpoint {place}: kill") == before[name] + 1
    assert answer.json()["credits"] == {"taken_back": 600, "claimed": 0, "spent": 0, "expired": 0}
    refunded = ada.get(f"/v1/orders/{order['id']}")
    assert (refunded["state"], {card["state"] for card in refunded["support_cards"]}) == ("refunded", {"recalled"})
    assert_nothing_broken(faulty)
