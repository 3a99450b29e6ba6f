"""What is refused before any service is asked (issue 2, "Bad input")."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from flask.testing import FlaskClient
from gateway_fakes import FakeRpc, Send

LINE = {"sku": "CREDITS-120", "quantity": 1}
ORDER = {"payment": {"method": "card", "provider_token": "tok_success"}, "accept_terms": "2026-11"}
KEY = {"Idempotency-Key": "k1"}
PAYMENT_CARD = "4111 1111 1111 1111"


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Check that it is a problem+json of this kind; the body."""
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = answer.json
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert {"type", "title", "detail", "correlation_id"} <= body.keys()
    return body


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/cart/lines", {**LINE, "colour": "red"}, "colour"),
        ("/v1/cart/lines", {**LINE, "unit_price": {"amount_minor": 1, "currency": "USD"}}, "unit_price"),
        ("/v1/cart/lines", {**LINE, "currency": "dollars"}, "currency"),
        ("/v1/cart/lines", {**LINE, "if_match": 1}, "if_match"),
        ("/v1/orders", {**ORDER, "state": "paid"}, "state"),
        ("/v1/orders", {**ORDER, "organization_id": "org_bolt"}, "organization_id"),
        ("/v1/orders", {**ORDER, "payment": {**ORDER["payment"], "number": "x"}}, "payment.number"),
        ("/v1/orders", {**ORDER, "payment": {"method": "barter"}}, "payment.method"),
        ("/v1/orders", {**ORDER, "expected_total": {"amount_minor": 1.5, "currency": "USD"}},
         "expected_total.amount_minor"),
        ("/v1/orders", {**ORDER, "expected_total": {"amount_minor": 10**40, "currency": "USD"}},
         "expected_total.amount_minor"),
        ("/v1/orders", {**ORDER, "expected_total": {"amount_minor": 1, "currency": "XXX"}}, "expected_total.currency"),
        ("/v1/orders", {**ORDER, "expected_total": 120}, "expected_total"),
        ("/v1/orders", {"accept_terms": "2026-11"}, "payment"),
        ("/v1/orders", {**ORDER, "purchase_order": {"number": "  "}}, "purchase_order.number"),
        ("/v1/orders", {**ORDER, "purchase_order": {"number": "PO\r\nBcc: x"}}, "purchase_order.number"),
        ("/v1/cart/lines", {"quantity": 1}, "sku"),
        ("/v1/cart/lines", {"sku": ["CREDITS-120"], "quantity": 1}, "sku"),
        ("/v1/cart/lines", {"sku": "A\u0000B", "quantity": 1}, "sku"),
        ("/v1/cart/lines", {"sku": "x" * 65, "quantity": 1}, "sku"),
        ("/v1/cart/lines", {**LINE, "credit_destination": "me"}, "credit_destination"),
        ("/v1/cart/deployment", {"deployment_id": None}, "deployment_id"),
        ("/v1/support-cards/preview", {"number": "SCC", "code": "a\nb"}, "code"),
        ("/v1/support-cards/preview", {"number": 5, "code": "a"}, "number"),
        ("/v1/organization/api-keys", {"name": ""}, "name"),
    ],
)  # fmt: skip
def test_wrong_field_is_named(path: str, body: Any, field: str, send: Send, rpc: FakeRpc) -> None:
    problem = refused(send("POST", path, json=body, headers=KEY), 422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert rpc.names() == []


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001, 10**30, 1.0, 1.5, "1", True, None, [1], float("1e3")])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/cart/lines"), ("PATCH", "/v1/cart/lines/lin_1")])
def test_quantity_is_a_whole_number_in_range(method: str, path: str, quantity: Any, send: Send, rpc: FakeRpc) -> None:
    body = {**(LINE if method == "POST" else {}), "quantity": quantity}
    problem = refused(send(method, path, json=body), 422, "validation_failed")
    assert problem["errors"][0]["field"] == "quantity"
    assert rpc.names() == []


def test_every_wrong_field_is_named_at_once(send: Send) -> None:
    body = {"quantity": 0, "colour": "red"}
    problem = refused(send("POST", "/v1/cart/lines", json=body), 422, "validation_failed")
    assert {error["field"] for error in problem["errors"]} == {"sku", "quantity", "colour"}


def test_change_of_nothing_is_refused(send: Send, rpc: FakeRpc) -> None:
    refused(send("PATCH", "/v1/cart/lines/lin_1", json={}), 422, "validation_failed")
    assert rpc.names() == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=1_0", "limit=+1", "limit=", "cursor=%00", "colour=red",
              "cursor=" + "x" * 201],
)  # fmt: skip
def test_wrong_query_is_refused(query: str, send: Send, rpc: FakeRpc) -> None:
    for path in ("/v1/orders", "/v1/deployments", "/v1/products", "/v1/support-cards", "/v1/credits/entries"):
        problem = refused(send("GET", f"{path}?{query}"), 422, "validation_failed")
        assert problem["errors"][0]["field"] == query.split("=")[0]
    assert rpc.names() == []


@pytest.mark.parametrize("query", ["kind=gift", "state=%0d%0aX"])
def test_wrong_filter_is_refused(query: str, send: Send) -> None:
    refused(send("GET", f"/v1/orders?{query}"), 422, "validation_failed")
    refused(send("GET", "/v1/support-cards?role=thief"), 422, "validation_failed")


@pytest.mark.parametrize(
    "raw",
    [
        b"{", b"", b"nonsense", b'{"sku": "A", "quantity": NaN}', b'{"sku": "A", "quantity": Infinity}', b"\xff\xfe{}",
        b'{"sku": "\xff", "quantity": 1}', b"[" * 30_000, b'{"quantity": ' + b"1" * 5000 + b"}",
        b'{"sku": "\\ud800", "quantity": 1}',
    ],
)  # fmt: skip
def test_broken_json_is_400(raw: bytes, send: Send, rpc: FakeRpc) -> None:
    answer = send("POST", "/v1/cart/lines", data=raw, content_type="application/json")
    if raw:
        refused(answer, 400, "malformed_json")
    else:
        refused(answer, 422, "validation_failed")
    assert rpc.names() == []


@pytest.mark.parametrize("raw", [b"[]", b'"text"', b"5", b"null", b'[{"sku": "A"}]'])
def test_json_that_is_no_object_is_refused(raw: bytes, send: Send, rpc: FakeRpc) -> None:
    answer = send("POST", "/v1/cart/lines", data=raw, content_type="application/json")
    refused(answer, 422, "validation_failed")
    assert rpc.names() == []


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_what_is_not_json_is_415(media: str, send: Send, rpc: FakeRpc) -> None:
    answer = send("POST", "/v1/cart/lines", data=json.dumps(LINE).encode(), content_type=media)
    refused(answer, 415, "unsupported_media_type")
    assert rpc.names() == []


def test_body_over_64_kb_is_413(send: Send, rpc: FakeRpc) -> None:
    fits = json.dumps({**LINE, "sku": "x" * (65536 - 40)}).encode()
    assert len(fits) <= 65536
    refused(send("POST", "/v1/cart/lines", data=fits, content_type="application/json"), 422, "validation_failed")
    large = {**LINE, "sku": "x" * 65536}
    refused(send("POST", "/v1/cart/lines", json=large), 413, "body_too_large")
    refused(send("GET", "/v1/cart", json=large), 413, "body_too_large")
    assert rpc.names() == []


@pytest.mark.parametrize("path", ["/v1/orders/%00", "/v1/orders/a%0ab", "/v1/orders/a%2Fb", "/v1/orders/%20",
                                  "/v1/orders/" + "x" * 65, "/v1/cart/", "//v1/cart", "/v2/cart"])  # fmt: skip
def test_what_is_no_address_is_404(path: str, send: Send, rpc: FakeRpc) -> None:
    refused(send("GET", path), 404, "not_found")
    assert rpc.calls == []


def test_wrong_method_is_405(send: Send) -> None:
    answer = send("PUT", "/v1/cart")
    refused(answer, 405, "method_not_allowed")
    assert {"GET", "HEAD"} <= {method.strip() for method in answer.headers["Allow"].split(",")}


class TestCardNumbers:
    @pytest.mark.parametrize(
        ("method", "path", "options"),
        [
            ("POST", "/v1/orders", {"json": {**ORDER, "purchase_order": {"number": PAYMENT_CARD}}}),
            ("POST", "/v1/orders", {"json": {"payment": {"method": "card", "provider_token": "4111111111111111"}}}),
            ("POST", "/v1/orders", {"json": {**ORDER, PAYMENT_CARD: "x"}}),
            ("POST", "/v1/orders", {"json": {**ORDER, "number": 4111111111111111}}),
            ("POST", "/v1/orders", {"json": {**ORDER, "deep": [[{"a": ["pay with 4111-1111-1111-1111 please"]}]]}}),
            ("POST", "/v1/orders", {"data": b'{"a": "\\u0034111111111111111"}', "content_type": "application/json"}),
            ("POST", "/v1/orders", {"json": {"a": "４１１１１１１１１１１１１１１１"}}),
            ("POST", "/v1/orders", {"data": "{'a': '４１１１１１１１１１１１１１１１'}".encode()}),
            ("POST", "/v1/orders", {"data": "number=4111111111111111"}),
            ("POST", "/v1/sessions", {"json": {"email": "a@b.example", "password": PAYMENT_CARD}}),
            ("GET", "/v1/deployments?q=4111111111111111", {}),
            ("GET", "/v1/deployments?q=4111%201111+1111%201111", {}),
            ("GET", "/v1/deployments?4111111111111111=1", {}),
            ("GET", "/v1/orders/4111111111111111", {}),
            ("GET", "/v9/4111111111111111", {}),
            ("DELETE", "/v1/cart/lines/5555555555554444", {}),
            ("GET", "/v1/cart", {"headers": {"Idempotency-Key": "378282246310005"}}),
        ],
    )  # fmt: skip
    def test_refused_before_anything_is_called_and_never_logged(
        self, method: str, path: str, options: Any, send: Send, rpc: FakeRpc, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        answer = send(method, path, **options)
        refused(answer, 422, "card_number_refused")
        assert rpc.calls == []
        numbers_of_ours = ("created", "msecs", "relativeCreated", "thread", "process")
        logged = str([{k: v for k, v in vars(each).items() if k not in numbers_of_ours} for each in caplog.records])
        for text in (logged, answer.text):
            for digits in ("1111", "１１１１", "555555", "37828"):
                assert digits not in text

    def test_correlation_id_with_a_card_number_is_replaced(self, client: FlaskClient) -> None:
        answer = client.get("/healthz", headers={"X-Correlation-Id": "4111-1111-1111-1111"})
        assert "1111" not in answer.headers["X-Correlation-Id"]

    def test_uuid_is_a_fine_key_whatever_its_digits(self, send: Send, rpc: FakeRpc) -> None:
        uuid = "41111111-1111-1111-8a5b-2f7d7b0f6a10"  # its first 16 digits are a card number
        answer = send("POST", "/v1/orders", json=ORDER, headers={"Idempotency-Key": uuid})
        assert answer.status_code == 201
        assert rpc.last("cart.place_order").data["idempotency_key"] == uuid

    def test_other_long_numbers_are_fine(self, send: Send, rpc: FakeRpc) -> None:
        assert send("GET", "/v1/deployments?q=4111111111111112").status_code == 200
        assert send("POST", "/v1/cart/lines", json={**LINE, "sku": "SKU4111111111111111"}).status_code == 200
