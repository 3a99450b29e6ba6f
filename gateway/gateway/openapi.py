"""The OpenAPI document: flask-smorest's, with our errors and our credentials."""

from __future__ import annotations

import http
from typing import Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from flask_smorest.utils import prepare_response

from gateway.outputs import Problem
from gateway.problems import MEDIA_TYPE

_DESCRIPTION = (
    "Buy support credits and claim support credit cards. JSON in and out; money in minor units; times RFC 3339 in UTC. "
    "Sign in with POST /v1/sessions or make an API key, and send it as `Authorization: Bearer`. Every error is "
    "application/problem+json with a stable `code`."
)
_VERSION = "3.1.0"


class Api(flask_smorest.Api):
    """flask-smorest's, whose errors are problems (see `gateway.problems`, which answers them)."""

    ERROR_SCHEMA = Problem

    def _register_responses(self) -> None:
        for status in http.HTTPStatus:
            if status >= 400:
                self._register_problem(status.name, status.phrase)
        self._register_problem(self.DEFAULT_ERROR_RESPONSE_NAME, "An error")

    def _register_problem(self, name: str, description: str) -> None:
        response: dict[str, Any] = {"description": description, "schema": self.ERROR_SCHEMA}
        prepare_response(response, self.spec, MEDIA_TYPE)
        self.spec.components.response(name, response, lazy=True)

    def _register_error_handlers(self) -> None:
        """Left to `gateway.problems`."""


def document(app: Flask) -> Api:
    """Start the document; blueprints registered with what is returned are in it."""
    app.config.update(API_TITLE="Punchcard", API_VERSION="v1", OPENAPI_VERSION=_VERSION)
    api = Api(
        app,
        spec_kwargs={
            "marshmallow_plugin": MarshmallowPlugin(schema_name_resolver=_name),
            "info": {"description": _DESCRIPTION},
            "security": [{"bearer": []}],
            "servers": [{"url": "/"}],
        },
    )
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    return api


def _name(schema: Any) -> str:
    """MoneySchema is Money in the document."""
    schema_class = schema if isinstance(schema, str | type) else type(schema)
    found = schema_class if isinstance(schema_class, str) else schema_class.__name__
    return found.removesuffix("Schema") or found
