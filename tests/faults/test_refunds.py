"""Credits and money both ways: fifty spends of a balance of ten, a refund against a claim, refunds that die."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from harness.asking import killed_once, new_key, until_final
from harness.faulty import FaultyStore, assert_nothing_broken
from store import Client, card_mail, number_and_code

pytestmark = pytest.mark.journey

_THREADS = 50


def _spend(support: Client, credits: int, cause: str) -> Any:
    body = {"organization_id": "org_globex", "credits": credits, "cause": cause, "memo": "A ticket"}
    return support.insist(lambda: support.ask("POST", "/v1/admin/credits/spends", body, key=cause))


def _refund(finance: Client, order_id: str, key: str, **what: Any) -> Any:
    """Ask for a refund until the answer is final."""
    return until_final(finance, f"/v1/admin/orders/{order_id}/refund", {"reason": "Bought twice", **what}, key)


def test_fifty_spends_of_a_balance_of_ten_take_what_fits(faulty: FaultyStore, rng: random.Random) -> None:
    gus, sam = faulty.client("gus@globex.example"), faulty.client("sam@punchcard.example")
    gus.empty_cart()
    order = gus.place(gus.order_body(gus.fill_cart("HOURLY-120", "organization"))).json()
    gus.fulfilled(order["id"])
    before = gus.balance()
    if before > 10:
        assert _spend(sam, before - 10, f"first-{new_key(rng)}").status_code == 201
    assert gus.balance() == 10
    causes = [new_key(rng) for _ in range(_THREADS)]

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
        before, key, refund_key = gus.balance(), new_key(rng), new_key(rng)
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
    with killed_once(faulty, {"cart": "cart.refunding", "payments": "payments.refunded"}):
        answer = _refund(fay, order["id"], new_key(rng))

    assert answer.status_code == 201, answer.text
    assert answer.json()["credits"] == {"taken_back": 600, "claimed": 0, "spent": 0, "expired": 0}
    refunded = ada.get(f"/v1/orders/{order['id']}")
    assert (refunded["state"], {card["state"] for card in refunded["support_cards"]}) == ("refunded", {"recalled"})
    assert_nothing_broken(faulty)


def test_pieces_whose_services_are_killed_in_the_middle_are_given_back_once(
    faulty: FaultyStore, rng: random.Random
) -> None:
    """One piece of three, then the others; each time somebody dies at what they have done and not said."""
    ada, fay = faulty.client(), faulty.client("fay@punchcard.example")
    ada.empty_cart()
    order = ada.fulfilled(ada.buy_card(3)["id"])
    (line,) = order["lines"]
    places = {
        "cart": rng.choice(("cart.refunding", "outbox.committed")),
        "payments": rng.choice(("payments.refunded", "outbox.committed")),
        "credits": "request.worked",
    }
    for quantity, died, state in (
        (1, rng.sample(sorted(places), 2), "partially_refunded"), (2, [rng.choice(sorted(places))], "refunded"),
    ):  # fmt: skip
        with killed_once(faulty, {name: places[name] for name in died}):
            pieces = {"lines": [{"line_id": line["id"], "quantity": quantity}]}
            answer = _refund(fay, order["id"], new_key(rng), **pieces)
        assert answer.status_code == 201, answer.text
        assert answer.json()["credits"] == {"taken_back": 300 * quantity, "claimed": 0, "spent": 0, "expired": 0}
        assert answer.json()["amount"]["amount_minor"] == line["unit_price"]["amount_minor"] * quantity
        assert ada.get(f"/v1/orders/{order['id']}")["state"] == state
    assert _recalled(ada, order["id"]) == 3
    assert_nothing_broken(faulty)


def test_a_refund_that_awaits_approval_outlives_all_and_is_made_once(faulty: FaultyStore, rng: random.Random) -> None:
    """Everybody who has a part in it dies while it waits, and again once it is approved, twice at once."""
    ada, fay = faulty.client(), faulty.client("fay@punchcard.example")
    fred = _colleague(faulty)
    ada.empty_cart()
    order = ada.fulfilled(ada.buy_card(2)["id"])
    faulty.relaunch("cart", CART_REFUND_APPROVAL_ABOVE_MINOR="0")
    path, pieces = f"/v1/admin/orders/{order['id']}/refund", {"line_id": order["lines"][0]["id"], "quantity": 1}
    asked = fay.insist(lambda: fay.ask("POST", path, {"reason": "Broken", "lines": [pieces]}, key=new_key(rng)))
    assert (asked.status_code, asked.json()["state"]) == (202, "awaiting_approval"), asked.text
    for name in rng.sample(["cart", "credits", "payments"], 3):
        faulty.kill_9(name)
    faulty.wait_ready()
    refund = f"/v1/admin/refunds/{asked.json()['id']}"
    assert (fay.get(refund)["state"], _recalled(ada, order["id"])) == ("awaiting_approval", 0)
    own = until_final(fay, f"{refund}/approve", {}, new_key(rng))
    assert (own.status_code, own.json()["code"]) == (403, "second_person_required")

    with (
        killed_once(faulty, {"cart": "cart.refunding", "payments": "payments.refunded"}),
        ThreadPoolExecutor(2) as pool,
    ):
        answers = list(
            pool.map(lambda key: until_final(fred, f"{refund}/approve", {}, key), [new_key(rng), new_key(rng)])
        )

    assert {answer.status_code for answer in answers} <= {201, 409}, [answer.text for answer in answers]
    assert fay.get(refund)["state"] == "done"
    assert (ada.get(f"/v1/orders/{order['id']}")["state"], _recalled(ada, order["id"])) == ("partially_refunded", 1)
    assert_nothing_broken(faulty)


def _recalled(client: Client, order_id: str) -> int:
    cards = client.get(f"/v1/orders/{order_id}")["support_cards"]
    return [card["state"] for card in cards].count("recalled")


def _colleague(faulty: FaultyStore) -> Client:
    """A second person in finance."""
    with faulty.database("accounts") as connection:
        connection.execute(
            sa.text(
                "INSERT INTO user_account (id, organization_id, email, name, role, language, password_hash, created_at)"
                " SELECT 'usr_fred', organization_id, 'fred@punchcard.example', 'Fred', role, language, password_hash,"
                " created_at FROM user_account WHERE id = 'usr_fay' ON CONFLICT DO NOTHING"
            )
        )
    return faulty.client("fred@punchcard.example")
