"""The application around a fake of the services."""

from __future__ import annotations

import sys
from dataclasses import replace
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
from gateway.web import backend, set_backend


@pytest.fixture
def rpc() -> FakeRpc:
    return FakeRpc()


@pytest.fixture
def identities() -> IdentityCache:
    """A cache that hears of every revocation."""
    cache = IdentityCache()
    cache.trust_while(lambda: True)
    return cache


@pytest.fixture(scope="session")
def built() -> Flask:
    """The application, which takes a tenth of a second to build; tests ask for `app`."""
    return create_app(Settings(ACCOUNTS.public_key, CREDITS.public_key), FakeRpc(), IdentityCache())


@pytest.fixture
def app(built: Flask, rpc: FakeRpc, identities: IdentityCache, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The application with services and known credentials of its own; what requests keep there is gone afterwards."""
    monkeypatch.setattr(built, "extensions", dict(built.extensions))
    with built.app_context():
        set_backend(built, replace(backend(), rpc=rpc, identities=identities))
    return built


@pytest.fixture(scope="session")
def openapi(built: Flask) -> tuple[dict[str, Any], Registry[Any]]:
    """The OpenAPI document, and where its schemas are found as ``urn:api``."""
    document: dict[str, Any] = built.test_client().get("/openapi.json").json
    return document, Registry().with_resource("urn:api", Resource.from_contents(document, DRAFT202012))


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
def documented(app: Flask, openapi: tuple[dict[str, Any], Registry[Any]]) -> Check:
    """Check an answer against what the OpenAPI document says of it."""
    document, registry = openapi
    adapter = app.url_map.bind("localhost")

    def check(method: str, path: str, answer: Any) -> None:
        rule, _ = adapter.match(path.partition("?")[0], method, return_rule=True)
        template = rule.rule.replace("<id:", "{").replace(">", "}")
        described = document["paths"][template][method.lower()]["responses"][str(answer.status_code)]
        reference = described["content"]["application/json"]["schema"]["$ref"]
        schema = {"$ref": f"urn:api{reference}"}
        jsonschema.Draft202012Validator(schema, registry=registry).validate(answer.json)

    return check
