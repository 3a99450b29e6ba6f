"""Buy a support credit card, receive it by mail, claim it: in both modes, over HTTP, as a person would."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from store import Store, card_mail, number_and_code, settle

from chassis.testing import wait_until

pytestmark = pytest.mark.journey


def test_buy_a_card_receive_it_by_mail_claim_it(store: Store) -> None:
    ada, grace = store.client("ada@acme.example"), store.client("grace@globex.example")
    ada.empty_cart()
    before = ada.balance(), grace.balance()
    order = ada.buy_card()
    assert order["state"] in ("paid", "fulfilled")
    assert order["payment"]["card"] == {"brand": "visa", "last4": "4242"}
    mail = card_mail(store, order)
    assert "ada@acme.example" in mail["to"]
    number, code = number_and_code(mail)
    assert code not in str(ada.get("/v1/support-cards?role=issuer"))
    preview = grace.ask("POST", "/v1/support-cards/preview", {"number": number, "code": code})
    assert (preview.status_code, preview.json()["credits"]) == (200, 300)
    typed = {"number": number.lower(), "code": code.lower().replace("-", " ").replace("0", "o")}
    claimed = grace.ask("POST", "/v1/support-cards/claim", typed, key=str(uuid.uuid4()))
    assert claimed.status_code == 200, claimed.text
    assert (ada.balance(), grace.balance()) == (before[0], before[1] + 300)
    (card,) = ada.fulfilled(order["id"])["support_cards"]
    assert card["state"] == "claimed"
    assert grace.get("/v1/credits/entries")["items"][0]["amount"] == 300

    def told() -> list[Any]:
        return [m for m in store.mails() if "claimed" in m["subject"] and preview.json()["number_masked"] in m["text"]]

    wait_until(told, "the issuer to be told")
    assert ["ada@acme.example" in m["to"] for m in told()] == [True]
    assert "Globex Clinics" in told()[0]["text"]
    assert len([m for m in store.mails() if order["number"] in m["text"] and "Claim code" not in m["text"]]) >= 1


def test_credits_for_the_organization_land_on_its_balance(store: Store) -> None:
    gus = store.client("gus@globex.example")
    gus.empty_cart()
    before = gus.balance()
    cart = gus.fill_cart("HOURLY-120", "organization", 2)
    order = gus.place(gus.order_body(cart)).json()
    gus.fulfilled(order["id"])
    assert gus.balance() == before + 240
    assert store.card_mails(order["number"]) == []
    assert gus.get("/v1/cart")["lines"] == []


def test_a_contract_binds_to_a_deployment_and_its_credits_go_on_the_card(store: Store) -> None:
    ada = store.client()
    ada.empty_cart()
    cart = ada.fill_cart("CONTRACT-STANDARD", None)
    assert sorted(cart["lines"][0]["missing"]) == ["credit_destination", "deployment"]
    refused = ada.place(ada.order_body(cart))
    assert refused.status_code == 422
    assert {error["field"] for error in refused.json()["errors"]} == {
        "lines.0.deployment_id",
        "lines.0.credit_destination",
    }
    assert ada.ask("PATCH", f"/v1/cart/lines/{cart['lines'][0]['id']}", {"credit_destination": "support_card"}).ok
    ada.fill_cart("APPLIANCE-S", None)
    applied = ada.ask("POST", "/v1/cart/deployment", {"deployment_id": "20770112"}).json()
    assert len(applied["applied"]) == 1
    assert len(applied["skipped"]) == 1
    order = ada.place(ada.order_body(ada.get("/v1/cart")))
    assert order.status_code == 201, order.text
    done = ada.fulfilled(order.json()["id"])
    assert len(done["support_cards"]) == 1
    assert number_and_code(card_mail(store, done))


def test_three_of_a_carded_pack_are_three_cards_and_three_mails(store: Store) -> None:
    ada = store.client()
    ada.empty_cart()
    order = ada.fulfilled(ada.buy_card(quantity=3)["id"])
    assert len(order["support_cards"]) == 3
    wait_until(lambda: len(store.card_mails(order["number"])) >= 3, "three mails")
    assert len({number_and_code(mail) for mail in store.card_mails(order["number"])}) == 3
    assert len(store.card_mails(order["number"])) == 3


def test_the_same_post_twice_is_one_order_and_one_charge(store: Store) -> None:
    alan = store.client("alan@acme.example")
    alan.empty_cart()
    body, key = alan.order_body(alan.fill_cart()), str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: alan.place(body, key), range(8)))
    assert {answer.status_code for answer in answers} <= {201, 202, 409}, [answer.text for answer in answers]
    again = alan.place(body, key)
    assert again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    made = {answer.json()["id"] for answer in answers if answer.status_code in (201, 202)} | {again.json()["id"]}
    (order_id,) = made
    assert len(store.charges(order_id)) == 1
    other = alan.place({**body, "purchase_order": {"number": "PO-1"}}, key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_wrong_unknown_and_used_codes_are_answered_alike(store: Store) -> None:
    ada, grace = store.client(), store.client("grace@globex.example")
    ada.empty_cart()
    number, code = number_and_code(card_mail(store, ada.buy_card()))
    wrong = "B" * 23 + "0"
    used_first = grace.ask("POST", "/v1/support-cards/claim", {"number": number, "code": code}, key=str(uuid.uuid4()))
    assert used_first.status_code == 200
    bodies = {
        grace.ask("POST", "/v1/support-cards/claim", {"number": n, "code": c}, key=str(uuid.uuid4()),
                  headers={"X-Correlation-Id": "cor_the_same"}).content
        for n, c in ((number, code), (number, wrong), ("SCC-AAAA-AAAA-AAAA", code), ("nonsense", "nonsense"))
    }  # fmt: skip
    assert len(bodies) == 1


def test_declined_cards_charge_nothing_and_the_cart_survives(store: Store) -> None:
    alan = store.client("alan@acme.example")
    alan.empty_cart()
    cart = alan.fill_cart()
    for card in ("declined", "insufficient_funds"):
        body, key = alan.order_body(cart, card), str(uuid.uuid4())
        refused = alan.place(body, key)
        assert (refused.status_code, refused.json()["code"]) == (402, "card_declined")
        assert alan.place(body, key).status_code == 402
        assert store.charges(refused.json()["order_id"]) == []
    assert [line["sku"] for line in alan.get("/v1/cart")["lines"]] == ["HOURLY-300"]
    assert alan.place(alan.order_body(cart)).status_code == 201


def test_a_charge_whose_answer_never_came_is_found_and_not_repeated(store: Store) -> None:
    alan = store.client("alan@acme.example")
    alan.empty_cart()
    body, key = alan.order_body(alan.fill_cart(), "timeout"), str(uuid.uuid4())
    waiting = alan.place(body, key)
    assert (waiting.status_code, waiting.json()["state"]) == (202, "pending_payment")
    assert waiting.headers["Location"].endswith(waiting.json()["id"])
    order = alan.fulfilled(waiting.json()["id"])
    assert len(store.charges(order["id"])) == 1
    assert number_and_code(card_mail(store, order))
    settle()
    assert len(store.card_mails(order["number"])) == 1
    assert alan.place(body, key).status_code in (200, 201, 202)


def test_a_logout_takes_effect_everywhere_at_once(store: Store) -> None:
    grace = store.client("grace@globex.example")
    for _ in range(6):  # every gateway process knows the session by now
        assert grace.ask("GET", "/v1/cart", headers={"Connection": "close"}).status_code == 200
    assert grace.ask("DELETE", "/v1/sessions/current").status_code == 204
    time.sleep(1)
    answers = [grace.ask("GET", "/v1/cart", headers={"Connection": "close"}).status_code for _ in range(10)]
    assert answers == [401] * 10


def test_an_api_key_acts_for_its_organization(store: Store) -> None:
    ada = store.client()
    key = store.demo["api_keys"][0]["key"]
    mine = ada.ask("GET", "/v1/organization", headers={"Authorization": f"Bearer {key}"})
    assert mine.json()["name"] == "Acme Telephony"


def test_the_demo_walks_through_both_stories(store: Store) -> None:
    walked = subprocess.run(
        [sys.executable, "-m", "punchcard", "demo", "--file", str(store.folder / "demo.json")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert "Globex Clinics claimed it: 120 credits" in walked.stdout
    assert "Hooli Freight tries to claim it: card_not_for_you" in walked.stdout
    assert "Umbrella Foods claimed it: 300 credits" in walked.stdout
