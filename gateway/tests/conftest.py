"""The application around a fake of the services."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

sys.path.insert(0, str(Path(__file__).parent))

from gateway_fakes import ACCOUNTS, CREDITS, STAFF_TOKEN, TOKEN, Check, FakeRpc, Send

from gateway.app import create_app
from gateway.identities import IdentityCache
from gateway.settings import Settings


@pytest.fixture
def rpc() -> FakeRpc:
    return FakeRpc()


@pytest.fixture
def identities() -> IdentityCache:
    """A cache that hears of every revocation."""
    cache = IdentityCache()
    cache.trust_while(lambda: True)
    return cache


@pytest.fixture
def settings() -> Settings:
    return Settings(ACCOUNTS.public_key, CREDITS.public_key)


@pytest.fixture
def app(settings: Settings, rpc: FakeRpc, identities: IdentityCache) -> Flask:
    return create_app(settings, rpc, identities)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def send(app: Flask, client: FlaskClient) -> Send:
    """Send a request as a signed-in user, to staff's routes as staff: ``send("POST", "/v1/cart/lines", json=...)``."""

    def is_for_staff(method: str, path: str) -> bool:
        try:
            endpoint, _ = app.url_map.bind("localhost").match(path.partition("?")[0], method)
        except HTTPException:
            return False
        return getattr(app.view_functions[endpoint], "for_staff", False)

    def send(method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        token = STAFF_TOKEN if is_for_staff(method, path) else TOKEN
        signed_in = {"Authorization": f"Bearer {token}", **(headers or {})}
        return client.open(path, method=method, headers=signed_in, **options)

    return send


@pytest.fixture
def documented(app: Flask) -> Check:
    """Check an answer against what the OpenAPI document says of it."""
    document = app.test_client().get("/openapi.json").json
    registry = Registry().with_resource("urn:api", Resource.from_contents(document, DRAFT202012))
    adapter = app.url_map.bind("localhost")

    def check(method: str, path: str, answer: Any) -> None:
        rule, _ = adapter.match(path.partition("?")[0], method, return_rule=True)
        template = rule.rule.replace("<id:", "{").replace(">", "}")
        described = document["paths"][template][method.lower()]["responses"][str(answer.status_code)]
        reference = described["content"]["application/json"]["schema"]["$ref"]
        schema = {"$ref": f"urn:api{reference}"}
        jsonschema.Draft202012Validator(schema, registry=registry).validate(answer.json)

    return check
