"""Pay by wire and check: in both modes, over HTTP, with a clerk in finance at the other end."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from store import Store, card_mail, number_and_code

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

FINANCE = "fay@punchcard.example"
REVIEW = "/v1/admin/payments/review"


def mails_about(store: Store, order: Any, words: str) -> list[Any]:
    return [mail for mail in store.mails() if order["number"] in mail["text"] and words in mail["text"]]


def test_buy_by_wire_pay_short_pay_the_rest_receive_the_card(store: Store) -> None:
    grace, clerk = store.client("grace@globex.example"), store.client(FINANCE)
    order = grace.order_by("wire")
    total = order["totals"]["total"]["amount_minor"]
    told = order["instructions"]
    assert (order["state"], order["payment"]["state"], order["expires_at"] is not None) == (
        "awaiting_payment", "requires_action", True,
    )  # fmt: skip
    assert told["reference"].startswith("RF")
    assert told["pay_to"]["account"]
    assert grace.get("/v1/cart")["lines"] == []
    wait_until(lambda: mails_about(store, order, "Payment reference: "), "the instructions by mail")
    (mail,) = mails_about(store, order, "Payment reference: ")
    assert f"Payment reference: {told['reference']}" in mail["text"]
    assert "grace@globex.example" in mail["to"]
    assert store.card_mails(order["number"]) == []
    assert grace.get(f"/v1/orders/{order['id']}")["support_cards"] == []

    statement = f"ST-{order['number']}"
    short = clerk.record(total - 5000, f"{statement}-1", reference=told["reference"])
    assert short.status_code == 201, short.text
    assert short.json()["payment"]["remaining"]["amount_minor"] == 5000
    wait_until(lambda: mails_about(store, order, "To pay: 50.00 USD"), "the mail that says what is left")
    wait_until(
        lambda: grace.get(f"/v1/orders/{order['id']}")["instructions"]["remaining"]["amount_minor"] == 5000,
        "the order to say what is left",
    )
    assert grace.get(f"/v1/orders/{order['id']}")["state"] == "awaiting_payment"
    assert store.card_mails(order["number"]) == []

    rest = clerk.record(5000, f"{statement}-2", order_id=order["id"])
    assert (rest.status_code, rest.json()["payment"]["state"]) == (201, "captured")
    done = grace.fulfilled(order["id"])
    assert (done["payment"], done["instructions"]) == ({"method": "wire", "state": "captured", "card": None}, None)
    assert len(done["support_cards"]) == 1
    number, code = number_and_code(card_mail(store, order))
    claimed = grace.ask("POST", "/v1/support-cards/claim", {"number": number, "code": code}, key=str(uuid.uuid4()))
    assert claimed.status_code == 200, claimed.text
    again = clerk.record(5000, f"{statement}-2", order_id=order["id"])
    assert (again.status_code, again.json()["code"]) == (409, "receipt_already_recorded")


def test_two_clerks_record_a_check_at_once(store: Store) -> None:
    ada, clerk = store.client(), store.client(FINANCE)
    order = ada.order_by("check")
    total = order["totals"]["total"]["amount_minor"]
    assert order["instructions"]["pay_to"]["payable_to"]

    def clerk_records(_: int) -> Any:
        reference = order["instructions"]["reference"]
        return clerk.record(total, f"CK-{order['number']}", method="check", reference=reference)

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(clerk_records, range(6)))
    assert sorted(answer.status_code for answer in told) == [201] + [409] * 5
    assert {answer.json()["code"] for answer in told if answer.status_code == 409} == {"receipt_already_recorded"}
    ada.fulfilled(order["id"])
    card_mail(store, order)


def test_check_becomes_card_and_the_check_that_comes_all_the_same_is_for_review(store: Store) -> None:
    ada, clerk = store.client(), store.client(FINANCE)
    order = ada.order_by("check")
    path = f"/v1/orders/{order['id']}/payment"
    tokens = store.demo["provider_tokens"]
    wired = ada.ask("POST", path, {"payment": {"method": "wire"}}, key=str(uuid.uuid4()))
    assert (wired.status_code, wired.json()["instructions"]["method"]) == (200, "wire")
    card = {"payment": {"method": "card", "provider_token": tokens["declined"]}}
    declined = ada.ask("POST", path, card, key=str(uuid.uuid4()))
    assert (declined.status_code, declined.json()["code"]) == (402, "card_declined")
    assert ada.get(f"/v1/orders/{order['id']}")["instructions"] == wired.json()["instructions"]
    key = str(uuid.uuid4())
    card["payment"]["provider_token"] = tokens["success"]
    paid = [ada.ask("POST", path, card, key=key) for _ in range(2)]
    assert [answer.status_code for answer in paid] == [200, 200]
    assert [answer.headers.get("Idempotent-Replayed") for answer in paid] == [None, "true"]
    ada.fulfilled(order["id"])
    assert len(store.charges(order["id"])) == 1
    late = clerk.record(100, f"LATE-{order['number']}", method="check", order_id=order["id"])
    assert (late.status_code, late.json()["payment"]["reason"]) == (201, "order_paid")
    listed = clerk.get(f"{REVIEW}?order_id={order['id']}")["items"]
    assert [(item["reason"], item["amount"]["amount_minor"]) for item in listed] == [("order_paid", 100)]


def test_what_waits_is_cancelled_and_money_that_came_in_part_is_for_review(store: Store) -> None:
    ada, clerk = store.client(), store.client(FINANCE)
    order = ada.order_by("wire")
    assert clerk.record(100, f"PART-{order['number']}", order_id=order["id"]).status_code == 201
    cancelled = ada.ask("POST", f"/v1/orders/{order['id']}/cancel", {}, key=str(uuid.uuid4()))
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    late = clerk.record(200, f"REST-{order['number']}", reference=order["instructions"]["reference"])
    assert late.json()["payment"]["reason"] == "order_cancelled"
    listed = clerk.get(f"{REVIEW}?order_id={order['id']}&reason=order_cancelled")["items"]
    assert sorted(item["amount"]["amount_minor"] for item in listed) == [100, 200]
    assert ada.get(f"/v1/orders/{order['id']}")["state"] == "cancelled"


def test_customers_record_nothing(store: Store) -> None:
    ada = store.client()
    order = ada.order_by("wire")
    assert ada.record(1, "MINE", order_id=order["id"]).status_code == 403
    assert ada.ask("GET", REVIEW).status_code == 403
