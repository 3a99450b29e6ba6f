"""Staff find an order and see what happened to it; a customer sees what happened to the own one."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from gateway_fakes import ORDER_IN_SHORT, STEP, Check, FakeRpc, Send, page_of

from gateway.services import SERVICES
from kernel.errors import Kind, Refusal

ORDERS = "/v1/admin/orders"


def test_what_is_said_goes_to_cart(send: Send, rpc: FakeRpc, documented: Check) -> None:
    path = f"{ORDERS}?buyer_email=ada@acme.example&purchase_order_number=PO-77&state=paid"
    answer = send("GET", path)
    documented("GET", path, answer)
    assert rpc.names() == ["cart.search_orders"]
    wanted = {"buyer_email": "ada@acme.example", "purchase_order_number": "PO-77", "state": "paid", "limit": 20}
    assert rpc.last("cart.search_orders").data == wanted


@pytest.mark.parametrize("said", ["last4=4242", "provider_id=ch_1", "reference=RF84", "bank_reference=B-1"])
def test_what_stands_on_a_statement_goes_to_payments_first(said: str, send: Send, rpc: FakeRpc) -> None:
    name, _, value = said.partition("=")
    assert send("GET", f"{ORDERS}?{said}&kind=order").status_code == 200
    assert rpc.last("payments.find_orders").data == {name: value}
    assert rpc.last("cart.search_orders").data == {"kind": "order", "limit": 20, "ids": ["ord_1"]}


@pytest.mark.parametrize("last4", ["424", "42424", "42a2", "4242%0A"])
def test_last_four_are_four_digits(last4: str, send: Send, rpc: FakeRpc) -> None:
    assert send("GET", f"{ORDERS}?last4={last4}").status_code == 422
    assert rpc.names() == []


def test_a_file_has_every_page_and_no_formula(send: Send, rpc: FakeRpc) -> None:
    def search(data: dict[str, Any]) -> dict[str, Any]:
        number = int(data.get("cursor", "0"))
        return page_of({**ORDER_IN_SHORT, "number": f"PC-{number}"}, str(number + 1) if number < 2 else None)

    rpc.replies["cart.search_orders"] = search
    answer = send("GET", ORDERS, headers={"Accept": "text/csv"})
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="orders.csv"'
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [row["number"] for row in rows] == ["PC-0", "PC-1", "PC-2"]
    assert rows[0]["buyer.name"] == "'=Ada"
    assert (rows[0]["total.amount_minor"], rows[0]["total.currency"], rows[0]["paid_at"]) == ("12000", "USD", "")


def test_one_order_or_none(send: Send, rpc: FakeRpc, documented: Check) -> None:
    answer = send("GET", f"{ORDERS}/ord_1")
    documented("GET", f"{ORDERS}/ord_1", answer)
    assert answer.json == ORDER_IN_SHORT
    assert rpc.last("cart.search_orders").data == {"ids": ["ord_1"], "limit": 1}
    rpc.replies["cart.search_orders"] = {"items": [], "next": None}
    for path in (f"{ORDERS}/ord_1", f"{ORDERS}/ord_1/timeline"):
        assert send("GET", path).status_code == 404
    assert not [name for name in rpc.names() if name.endswith("order_timeline")]


@pytest.mark.parametrize("path", [f"{ORDERS}/ord_1/timeline", "/v1/orders/ord_1/timeline"])
def test_a_timeline_is_made_of_what_every_service_tells(path: str, send: Send, rpc: FakeRpc, documented: Check) -> None:
    for number, service in enumerate(reversed(SERVICES)):
        moment = f"2026-11-22T12:00:0{number}.000Z"
        rpc.replies[f"{service}.order_timeline"] = {"items": [{**STEP, "happened_at": moment}]}
    answer = send("GET", path)
    documented("GET", path, answer)
    assert [item["service"] for item in answer.json["items"]] == list(reversed(SERVICES))


def test_the_timeline_of_another_order_is_none(send: Send, rpc: FakeRpc) -> None:
    rpc.replies["cart.get_order"] = Refusal(Kind.NOT_FOUND, "not_found", "There is no such order.")
    assert send("GET", "/v1/orders/ord_2/timeline").status_code == 404
    assert rpc.names() == ["cart.get_order"]
