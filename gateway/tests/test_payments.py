"""Wire and check over HTTP: instructions, another way to pay, and what finance does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from gateway_fakes import AWAITING, ORDER, RECORDED, SURPLUS, USER, Check, FakeRpc, Send, authenticated

from kernel.errors import Kind, Refusal, conflict

KEY = {"Idempotency-Key": "k1"}
RECEIPTS, REVIEW, CHANGE = "/v1/admin/payments/receipts", "/v1/admin/payments/review", "/v1/orders/ord_1/payment"
BODY = {
    "order_id": "ord_1", "method": "wire", "amount": {"amount_minor": 7000, "currency": "USD"},
    "received_on": "2026-11-30", "bank_reference": "B-1",
}  # fmt: skip


@pytest.fixture
def fay(rpc: FakeRpc) -> None:
    rpc.replies["accounts.authenticate"] = lambda _: authenticated(user={**USER, "id": "usr_fay", "role": "finance"})


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[Any, ...]]]:
    caplog.set_level(logging.INFO, "gateway.audit")
    return lambda: [
        (line.user_id, line.action, line.outcome, line.about) for line in caplog.records if line.name == "gateway.audit"
    ]


def test_an_order_by_wire_is_placed_with_instructions(send: Send, rpc: FakeRpc, documented: Check) -> None:
    rpc.replies["cart.place_order"] = {"order": AWAITING, "replayed": False, "status": 201}
    placed = send("POST", "/v1/orders", json={"payment": {"method": "wire"}}, headers=KEY)
    documented("POST", "/v1/orders", placed)
    assert (placed.status_code, placed.json["instructions"]) == (201, AWAITING["instructions"])
    assert rpc.last("cart.place_order").data["payment"] == {"method": "wire"}


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({"order": AWAITING, "replayed": False, "status": 201}, 200),
        ({"order": ORDER, "replayed": True, "status": 201}, 200),
        ({"order": {**ORDER, "state": "pending_payment"}, "replayed": False, "status": 202}, 202),
    ],
)
def test_another_way_to_pay(send: Send, rpc: FakeRpc, documented: Check, reply: dict[str, Any], status: int) -> None:
    rpc.replies["cart.change_payment"] = reply
    answer = send("POST", CHANGE, json={"payment": {"method": "card", "provider_token": "tok"}}, headers=KEY)
    documented("POST", CHANGE, answer)
    assert (answer.status_code, answer.json["state"]) == (status, reply["order"]["state"])
    assert answer.headers.get("Idempotent-Replayed") == ("true" if reply["replayed"] else None)
    assert answer.headers.get("Location") == ("/v1/orders/ord_1" if status == 202 else None)
    called = rpc.last("cart.change_payment")
    assert called.data == {
        "id": "ord_1", "idempotency_key": "k1", "payment": {"method": "card", "provider_token": "tok"},
    }  # fmt: skip
    assert called.timeout_s == 20


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refusal(Kind.PAYMENT_REFUSED, "card_declined", "Use another card."), 402),
        (conflict("partly_paid", "Pay the rest."), 409),
        (Refusal(Kind.NOT_FOUND, "not_found", "There is no such order."), 404),
    ],
)
def test_what_is_not_changed(send: Send, rpc: FakeRpc, refusal: Refusal, status: int) -> None:
    rpc.replies["cart.change_payment"] = refusal
    answer = send("POST", CHANGE, json={"payment": {"method": "check"}}, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (status, refusal.code)


@pytest.mark.usefixtures("fay")
def test_finance_records_money_and_it_is_on_record(
    send: Send, rpc: FakeRpc, documented: Check, audit: Callable[[], list[tuple[Any, ...]]]
) -> None:
    answer = send("POST", RECEIPTS, json=BODY, headers=KEY)
    documented("POST", RECEIPTS, answer)
    assert (answer.status_code, answer.json) == (201, RECORDED)
    assert rpc.last("payments.record_receipt").data == {**BODY, "idempotency_key": "k1"}
    rpc.replies["payments.record_receipt"] = {**RECORDED, "replayed": True}
    assert send("POST", RECEIPTS, json=BODY, headers=KEY).headers["Idempotent-Replayed"] == "true"
    rpc.replies["payments.record_receipt"] = conflict("receipt_already_recorded", "It was.", {"receipt": {"id": "r"}})
    again = send("POST", RECEIPTS, json=BODY, headers=KEY)
    assert (again.status_code, again.json["code"], again.json["receipt"]) == (
        409, "receipt_already_recorded", {"id": "r"},
    )  # fmt: skip
    done = {**BODY, "receipt_id": "rct_1", "state": "requires_action"}
    assert audit() == [
        ("usr_fay", "record_receipt", "done", {**done, "replayed": False}),
        ("usr_fay", "record_receipt", "done", {**done, "replayed": True}),
        ("usr_fay", "record_receipt", "receipt_already_recorded", BODY),
    ]


@pytest.mark.usefixtures("fay")
@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "RF84PC2026000123"},
        {"order_id": None},
        {"method": "card"},
        {"amount": {"amount_minor": 0, "currency": "USD"}},
        {"amount": {"amount_minor": 1.5, "currency": "USD"}},
        {"received_on": "30.11.2026"},
        {"bank_reference": ""},
        {"state": "paid"},
    ],
    ids=str,
)
def test_a_receipt_that_makes_no_sense(send: Send, rpc: FakeRpc, changes: dict[str, Any]) -> None:
    answer = send("POST", RECEIPTS, json={**BODY, **changes}, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert rpc.names() == []


def test_money_needs_a_key(send: Send, rpc: FakeRpc) -> None:
    for path, body in ((RECEIPTS, BODY), (CHANGE, {"payment": {"method": "wire"}})):
        answer = send("POST", path, json=body)
        assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_required")
    assert rpc.names() == []


@pytest.mark.usefixtures("fay")
def test_the_review_list(send: Send, rpc: FakeRpc, documented: Check, audit: Any) -> None:
    path = f"{REVIEW}?reason=order_cancelled&order_id=ord_1&limit=5"
    answer = send("GET", path)
    documented("GET", path, answer)
    assert answer.json == {"items": [SURPLUS], "next": None}
    wanted = {"reason": "order_cancelled", "order_id": "ord_1", "limit": 5}
    assert rpc.last("payments.list_review").data == wanted
    assert audit() == [("usr_fay", "list_review", "done", wanted)]
    assert send("GET", f"{REVIEW}?reason=lost").status_code == 422


def test_customers_are_refused_and_the_attempt_is_on_record(send: Send, rpc: FakeRpc, audit: Any) -> None:
    for method in ("record_receipt", "list_review"):
        rpc.replies[f"payments.{method}"] = Refusal(Kind.FORBIDDEN, "forbidden", "This needs the role finance.")
    assert send("POST", RECEIPTS, json=BODY, headers=KEY).status_code == 403
    assert send("GET", REVIEW).status_code == 403
    assert [(line[1], line[2]) for line in audit()] == [("record_receipt", "forbidden"), ("list_review", "forbidden")]
