"""Quotes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_fakes import ORDER, QUOTE, Check, FakeRpc, Send

from kernel.errors import Kind, Refusal, conflict

KEY = {"Idempotency-Key": "k1"}
CONVERT = "/v1/orders/ord_1/convert"
BODY = {"payment": {"method": "card", "provider_token": "tok", "payment_method_id": None}}


def test_a_quote_is_placed(send: Send, rpc: FakeRpc, documented: Check) -> None:
    rpc.replies["cart.place_order"] = {"order": QUOTE, "replayed": False, "status": 201}
    answer = send("POST", "/v1/orders", json={"payment": {"method": "quote"}}, headers=KEY)
    documented("POST", "/v1/orders", answer)
    assert (answer.status_code, answer.json) == (201, {**QUOTE, "support_cards": []})
    assert rpc.last("cart.place_order").data["payment"] == {"method": "quote"}


def test_nobody_is_asked_for_the_cards_of_a_quote(send: Send, rpc: FakeRpc, documented: Check) -> None:
    answer = send("GET", "/v1/orders/ord_q")
    documented("GET", "/v1/orders/ord_q", answer)
    assert answer.json == {**QUOTE, "support_cards": []}
    assert "credits.cards_of_orders" not in rpc.names()


@pytest.mark.parametrize(("status", "is_replay"), [(201, False), (201, True), (202, False)])
def test_a_quote_is_converted(send: Send, rpc: FakeRpc, documented: Check, status: int, is_replay: bool) -> None:
    order: dict[str, Any] = {**ORDER, "id": "ord_2", "quote_id": "ord_1", "quote": None}
    rpc.replies["cart.convert_quote"] = {"order": order, "replayed": is_replay, "status": status}
    answer = send("POST", CONVERT, json=BODY, headers=KEY)
    documented("POST", CONVERT, answer)
    assert (answer.status_code, answer.json) == (status, {**order, "support_cards": []})
    assert answer.headers["Location"] == "/v1/orders/ord_2"
    assert answer.headers.get("Idempotent-Replayed") == ("true" if is_replay else None)
    assert answer.headers.get("Retry-After") == ("1" if status == 202 else None)
    assert rpc.last("cart.convert_quote").data == {
        "id": "ord_1", "idempotency_key": "k1", "payment": {"method": "card", "provider_token": "tok"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (conflict("quote_expired", "This quote was good until 2026-12-22 (UTC)."), 409),
        (conflict("quote_converted", "An order was made already.", {"order_id": "ord_2"}), 409),
        (Refusal(Kind.PAYMENT_REFUSED, "card_declined", "Use another card."), 402),
        (Refusal(Kind.INVALID, "product_unavailable", "It is no longer sold."), 422),
        (Refusal(Kind.NOT_FOUND, "not_found", "There is no such order."), 404),
    ],
)
def test_what_keeps_a_quote_from_it(send: Send, rpc: FakeRpc, refusal: Refusal, status: int) -> None:
    rpc.replies["cart.convert_quote"] = refusal
    answer = send("POST", CONVERT, json=BODY, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (status, refusal.code)


def test_it_needs_a_key(send: Send, rpc: FakeRpc) -> None:
    answer = send("POST", CONVERT, json=BODY)
    assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_required")
    assert rpc.names() == []
