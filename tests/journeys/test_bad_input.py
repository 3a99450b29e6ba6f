"""What is wrong gets a clear problem+json and leaves no trace."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from store import Client, Store

pytestmark = pytest.mark.journey

LINE: dict[str, Any] = {"sku": "HOURLY-120", "quantity": 1, "credit_destination": "organization"}


def trace(client: Client) -> Any:
    """All that a request could have changed for its user."""
    orders = [order["id"] for order in client.get("/v1/orders?limit=100")["items"]]
    cart = client.get("/v1/cart")
    return orders, cart["version"], cart["lines"], client.balance()


def is_problem(answer: Any, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "code", "correlation_id"} <= set(problem)
    assert problem["status"] == status
    if code:
        assert problem["code"] == code
    for leak in ("Traceback", "sqlalchemy", "psycopg", "marshmallow", ".py"):
        assert leak not in answer.text


@pytest.mark.parametrize(
    ("line", "status", "field"),
    [
        ({**LINE, "colour": "red"}, 422, "colour"),
        ({**LINE, "price": {"amount_minor": 1, "currency": "USD"}}, 422, "price"),
        ({**LINE, "quantity": "1"}, 422, "quantity"),
        ({**LINE, "quantity": 1.5}, 422, "quantity"),
        ({**LINE, "quantity": 0}, 422, "quantity"),
        ({**LINE, "quantity": -3}, 422, "quantity"),
        ({**LINE, "quantity": 10**12}, 422, "quantity"),
        ({**LINE, "quantity": 100_000}, 422, "quantity"),
        ({**LINE, "sku": "NO-SUCH-THING"}, 422, "sku"),
        ({**LINE, "sku": 7}, 422, "sku"),
        ({**LINE, "deployment_id": "20770112"}, 422, "deployment_id"),
        ({**LINE, "credit_destination": "me"}, 422, "credit_destination"),
        ({"sku": "APPLIANCE-S", "quantity": 1, "credit_destination": "organization"}, 422, "credit_destination"),
        ({}, 422, "sku"),
    ],
)
def test_cart_lines(store: Store, line: dict[str, Any], status: int, field: str) -> None:
    ada = store.client()
    before = trace(ada)
    answer = ada.ask("POST", "/v1/cart/lines", line)
    is_problem(answer, status)
    assert field in [error["field"] for error in answer.json()["errors"]], answer.text
    assert trace(ada) == before


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"accept_terms": None}, 422, None),
        ({"accept_terms": "1999-01"}, 422, "terms_not_accepted"),
        ({"payment": {"method": "card"}}, 422, None),
        ({"payment": {"method": "barter"}}, 422, None),
        ({"payment": {"method": "card", "provider_token": "tok", "cvc": "123"}}, 422, None),
        ({"expected_total": {"amount_minor": 1, "currency": "USD"}}, 409, "price_changed"),
        ({"state": "paid"}, 422, None),
        ({"purchase_order": {"number": "4242 4242 4242 4242"}}, 422, "card_number_refused"),
        ({"purchase_order": {"number": "PO\r\nBcc: all"}}, 422, None),
    ],
)
def test_orders(store: Store, changes: dict[str, Any], status: int, code: str | None) -> None:
    ada = store.client()
    ada.empty_cart()
    cart = ada.fill_cart()
    before = trace(ada)
    is_problem(ada.place(ada.order_body(cart, **changes)), status, code)
    assert trace(ada) == before


def test_an_empty_cart_is_refused(store: Store) -> None:
    ada = store.client()
    cart = ada.fill_cart()
    ada.empty_cart()
    is_problem(ada.place(ada.order_body(cart)), 409, "cart_empty")


def test_a_missing_credit_destination_is_refused(store: Store) -> None:
    ada = store.client()
    ada.empty_cart()
    cart = ada.fill_cart(destination=None)
    answer = ada.place(ada.order_body(cart))
    is_problem(answer, 422, "credit_destination_required")
    assert answer.json()["errors"][0]["field"] == "lines.0.credit_destination"


def test_the_key_is_required_and_its_shape_is_checked(store: Store) -> None:
    ada = store.client()
    ada.empty_cart()
    body = ada.order_body(ada.fill_cart())
    is_problem(ada.ask("POST", "/v1/orders", body), 400, "idempotency_key_required")
    is_problem(ada.ask("POST", "/v1/orders", body, key="x" * 256), 400)
    is_problem(
        ada.ask("POST", "/v1/support-cards/claim", {"number": "a", "code": "b"}), 400, "idempotency_key_required"
    )


def test_bodies_that_are_no_json_or_too_large(store: Store) -> None:
    ada = store.client()
    json_type = {"Content-Type": "application/json"}
    is_problem(ada.ask("POST", "/v1/cart/lines", data="{broken", headers=json_type), 400)
    is_problem(ada.ask("POST", "/v1/cart/lines", data="[" * 20_000, headers=json_type), 400)
    is_problem(ada.ask("POST", "/v1/cart/lines", [1, 2]), 422)
    is_problem(ada.ask("POST", "/v1/cart/lines", data="a=b", headers={"Content-Type": "text/plain"}), 415)
    is_problem(ada.ask("POST", "/v1/cart/lines", {**LINE, "sku": "x" * 70_000}), 413)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/cart/lines", {"sku": "4242424242424242", "quantity": 1}),
        ("POST", "/v1/cart/lines", {"sku": "x", "quantity": 4242424242424242}),
        ("POST", "/v1/cart/lines", {"4242424242424242": 1}),
        ("POST", "/v1/support-cards/preview", {"number": "4242-4242-4242-4242", "code": "x"}),
        ("GET", "/v1/deployments?q=4242424242424242", None),
        ("GET", "/v1/orders/4242424242424242", None),
    ],
)
def test_a_card_number_is_refused_wherever_it_appears(store: Store, method: str, path: str, body: Any) -> None:
    is_problem(store.client().ask(method, path, body), 422, "card_number_refused")


def test_what_belongs_to_others_does_not_exist(store: Store) -> None:
    ada, grace = store.client(), store.client("grace@globex.example")
    ada.empty_cart()
    line = ada.fill_cart()["lines"][0]["id"]
    order = ada.buy_card()
    card = ada.fulfilled(order["id"])["support_cards"][0]["id"]
    same = {"X-Correlation-Id": "cor_the_same"}
    for method, path, absent, body in (
        ("PATCH", f"/v1/cart/lines/{line}", "/v1/cart/lines/lin_none", {"quantity": 2}),
        ("DELETE", f"/v1/cart/lines/{line}", "/v1/cart/lines/lin_none", None),
        ("GET", f"/v1/orders/{order['id']}", "/v1/orders/ord_none", None),
        ("GET", f"/v1/support-cards/{card}", "/v1/support-cards/scc_none", None),
        ("GET", "/v1/deployments/20770112", "/v1/deployments/99999999", None),
    ):
        foreign = grace.ask(method, path, body, headers=same)
        is_problem(foreign, 404, "not_found")
        assert foreign.content == grace.ask(method, absent, body, headers=same).content, path
    licence = {"sku": "LICENCE-BACKUP", "quantity": 1}
    foreign, absent_one = (
        grace.ask("POST", "/v1/cart/lines", {**licence, "deployment_id": deployment}, headers=same)
        for deployment in ("20770112", "99999999")
    )
    is_problem(foreign, 404, "not_found")
    assert foreign.content == absent_one.content


def test_a_stale_write_to_the_cart_is_refused(store: Store) -> None:
    ada = store.client()
    ada.empty_cart()
    ada.fill_cart()
    etag = ada.ask("GET", "/v1/cart").headers["ETag"]
    ada.fill_cart("HOURLY-120", "organization")
    is_problem(ada.ask("POST", "/v1/cart/lines", LINE, headers={"If-Match": etag}), 412)


def test_without_credentials_nothing_of_a_customer_is_served(store: Store) -> None:
    ada = store.client()
    for token in ("", "Bearer nonsense", f"Bearer pcs_{uuid.uuid4().hex}", "Basic YTpi"):
        for path in ("/v1/cart", "/v1/orders", "/v1/credits", "/v1/organization"):
            is_problem(ada.ask("GET", path, headers={"Authorization": token}), 401)
    assert ada.ask("GET", "/v1/products", headers={"Authorization": ""}).status_code == 200


def test_roles(store: Store) -> None:
    fay = store.client("fay@punchcard.example")
    is_problem(fay.ask("POST", "/v1/cart/lines", LINE), 403, "forbidden")
