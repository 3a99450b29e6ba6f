"""The document, and the page to read it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.content_type == "application/json"
    return answer.json


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in references(each)]
    return [found for each in value for found in references(each)] if isinstance(value, list) else []


def test_every_route_is_documented_and_nothing_else(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path, _ in operations(document)} == routes
    assert routes, "there is something to document"


def test_it_is_openapi_3_1_with_sound_schemas(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"]
    assert document["info"]["version"]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert len(found) > 50
    for reference in found:
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_every_operation_is_complete(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        assert operation["summary"], path
        assert any(status.startswith("2") for status in operation["responses"]), path
        in_path = set(re.findall(r"{(\w+)}", path))
        parameters = [*document["paths"][path].get("parameters", []), *operation.get("parameters", [])]
        assert {each["name"] for each in parameters if each["in"] == "path"} == in_path
        if method in {"POST", "PATCH"} and path != "/v1/webhooks/payments":  # its body is the provider's own
            [body] = operation["requestBody"]["content"].values()  # JSON, or the form of a page
            schema = body["schema"]
            named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert named["additionalProperties"] is False, path


def test_errors_are_documented_as_problems(document: dict[str, Any]) -> None:
    for response in document["components"]["responses"].values():
        assert response["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_open_routes_are_marked(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearer": []}]
    assert {path for _, path, operation in operations(document) if operation.get("security") == []} == {
        "/v1/sessions", "/v1/categories", "/v1/products", "/v1/products/{sku}", "/v1/terms", "/healthz", "/readyz",
        "/openapi.json", "/docs", "/v1/webhooks/payments",
        "/v1/users", "/v1/users/confirm", "/v1/password-resets", "/v1/password-resets/{token}",
        "/v1/invitations/{token}", "/admin/reconciliation",
    }  # fmt: skip


def test_idempotency_key_is_documented_where_it_is_required(document: dict[str, Any]) -> None:
    wanting = {
        path
        for _, path, operation in operations(document)
        for each in operation.get("parameters", [])
        if each["name"] == "Idempotency-Key" and each["required"]
    }
    assert wanting == {
        "/v1/admin/refunds/{refund_id}/approve", "/v1/admin/refunds/{refund_id}/reject", "/v1/admin/payments/payouts",
        "/v1/admin/payments/surplus/{surplus_id}/settle",
        "/v1/admin/disputes/{dispute_id}/evidence", "/v1/admin/disputes/{dispute_id}/accept",
        "/v1/payment-methods",
        "/v1/orders", "/v1/orders/{order_id}/cancel", "/v1/orders/{order_id}/payment", "/v1/support-cards/claim",
        "/v1/orders/{order_id}/convert",
        "/v1/admin/payments/receipts",
        "/v1/support-cards/{card_id}/recall", "/v1/support-cards/{card_id}/freeze",
        "/v1/support-cards/{card_id}/unfreeze", "/v1/support-cards/{card_id}/reissue",
        "/v1/support-cards/{card_id}/bind", "/v1/support-cards/{card_id}/split",
        "/v1/admin/credits/spends", "/v1/admin/orders/{order_id}/refund",
        "/v1/admin/credits/grants", "/v1/admin/credits/adjustments",
        "/v1/tickets",
        *(f"/v1/tickets/{{ticket_id}}/{what}" for what in (
            "comments", "time", "overrun", "close", "reopen", "defect"
        )),
    }  # fmt: skip
    # a new POST belongs into one of the two: what moves money, credits or cards needs a key, and these move none
    assert {path for method, path, _ in operations(document) if method == "POST"} - wanting == {
        "/v1/organization/addresses", "/v1/organization/users", "/v1/invitations/{token}",
        "/v1/deployments/{deployment_id}/retire", "/v1/admin/organizations/{organization_id}/deployments",
        "/v1/users", "/v1/users/confirm", "/v1/password-resets", "/v1/password-resets/{token}", "/v1/account/password",
        "/v1/sessions", "/v1/organization/api-keys", "/v1/cart/lines", "/v1/cart/deployment",
        "/v1/support-cards/preview", "/v1/webhooks/payments", "/v1/admin/dead-letters/replay",
        "/admin/reconciliation",
    }  # fmt: skip


class _Page(HTMLParser):
    """Collects what a browser would fetch, and the anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "src" or (name == "href" and tag == "link"):
                self.fetched.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name == "id":
                self.ids.append(value or "")


def test_page_needs_nothing_from_elsewhere(client: FlaskClient, document: dict[str, Any]) -> None:
    answer = client.get("/docs")
    assert answer.content_type.startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    page = _Page()
    page.feed(answer.text)
    assert page.fetched == []
    assert not page.tags & {"script", "iframe", "object"}
    assert all(link == "/openapi.json" or link.removeprefix("#").replace("%20", " ") in page.ids for link in page.links)
    for method, path, _ in operations(document):
        assert f"{method} {path}" in answer.text
    for name in document["components"]["schemas"]:
        assert name in page.ids


def test_style_of_the_page_is_the_one_its_policy_allows(client: FlaskClient) -> None:
    answer = client.get("/docs")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["Content-Security-Policy"]
