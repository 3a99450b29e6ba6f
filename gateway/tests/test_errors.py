"""Refusals of services as HTTP has them."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gateway_fakes import FakeRpc, Send
from marshmallow import ValidationError

from gateway.problems import STATUS_OF
from kernel.errors import FieldError, Kind, Refusal, not_found

EXPECTED = {
    "unauthenticated": 401, "forbidden": 403, "not_found": 404, "invalid": 422, "conflict": 409,
    "payment_refused": 402, "precondition_failed": 412, "too_many": 429, "unavailable": 503, "internal": 500,
}  # fmt: skip


def test_every_kind_has_a_status() -> None:
    assert set(STATUS_OF) == set(Kind)
    assert {str(kind) for kind in Kind} == set(EXPECTED)


@pytest.mark.parametrize(("kind", "status"), EXPECTED.items())
def test_kind_is_answered_with_its_status(kind: str, status: int, send: Send, rpc: FakeRpc) -> None:
    rpc.replies["cart.get_cart"] = Refusal(
        Kind(kind), "some_code", "What to do.", [FieldError("sku", "Wrong.")], {"old": 1, "status": 200, "code": "x"}
    )
    answer = send("GET", "/v1/cart", headers={"X-Correlation-Id": "from-the-client"})
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    if kind == "internal":
        assert (answer.json["code"], "errors" in answer.json, "old" in answer.json) == ("internal_error", False, False)
        return
    assert answer.json == {
        "type": "urn:punchcard:problem:some_code",
        "title": "Some code",
        "status": status,
        "detail": "What to do.",
        "code": "some_code",
        "correlation_id": "from-the-client",
        "errors": [{"field": "sku", "message": "Wrong."}],
        "old": 1,
    }


def test_retry_after_says_when(send: Send, rpc: FakeRpc) -> None:
    rpc.replies["cart.get_cart"] = Refusal(Kind.UNAVAILABLE, "unavailable", "Later.")
    assert int(send("GET", "/v1/cart").headers["Retry-After"]) > 0
    rpc.replies["cart.get_cart"] = Refusal(Kind.TOO_MANY, "too_many", "Slower.", extra={"retry_after_s": 17})
    answer = send("GET", "/v1/cart")
    assert answer.headers["Retry-After"] == "17"
    assert "retry_after_s" not in answer.json


@pytest.mark.parametrize(
    "defect", [KeyError("a-secret-value"), ValidationError({"x": ["a-secret-value"]}), RuntimeError("a-secret-value")]
)
def test_defect_says_nothing_of_itself(
    defect: Exception, send: Send, rpc: FakeRpc, caplog: pytest.LogCaptureFixture
) -> None:
    rpc.replies["cart.get_cart"] = defect
    answer = send("GET", "/v1/cart")
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert answer.json["correlation_id"] == answer.headers["X-Correlation-Id"]
    for word in ("Error", "Traceback", "secret", ".py"):
        assert word not in answer.text
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert type(defect).__name__ in logged[0].getMessage()
    assert "get_cart" in vars(logged[0])["stack"] or "in get" in vars(logged[0])["stack"]
    assert "a-secret-value" not in "".join(str(vars(record)) for record in caplog.records)


def test_malformed_reply_is_a_defect(send: Send, rpc: FakeRpc) -> None:
    rpc.replies["cart.get_cart"] = {"lines": []}
    assert send("GET", "/v1/cart").status_code == 500


def test_what_is_not_yours_is_answered_like_what_is_not(send: Send, rpc: FakeRpc) -> None:
    """Services answer both alike; nothing of the id asked for may tell them apart here."""
    for path, method in {
        "/v1/orders/": "cart.get_order",
        "/v1/deployments/": "accounts.get_deployment",
        "/v1/support-cards/": "credits.get_card",
        "/v1/products/": "catalog.get_product",
    }.items():
        rpc.replies[method] = not_found("thing")
        bodies = [
            send("GET", f"{path}{each}", headers={"X-Correlation-Id": "the-same-one"}).data
            for each in ("theirs_1", "none_2")
        ]
        assert bodies[0] == bodies[1]


def test_framework_errors_are_problems_without_credentials_too(client: FlaskClient) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/v1/terms", 405)):
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_testing_mode_does_not_leak_either(app: Flask, rpc: FakeRpc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "TESTING", True)
    rpc.replies["catalog.get_terms"] = RuntimeError("x")
    assert app.test_client().get("/v1/terms").status_code == 500
