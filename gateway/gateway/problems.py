"""Every error leaves as application/problem+json (RFC 9457), from one mapping. Never a stack or a class name."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app
from werkzeug.exceptions import HTTPException

from chassis import context
from gateway.jsontext import MalformedBody, write_json
from kernel.errors import Kind, Refusal

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS_OF: Mapping[Kind, HTTPStatus] = {
    Kind.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.PAYMENT_REFUSED: HTTPStatus.PAYMENT_REQUIRED,
    Kind.PRECONDITION_FAILED: HTTPStatus.PRECONDITION_FAILED,
    Kind.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

#: Seconds after which to try again, unless the service says (`retry_after_s` in the refusal's extra).
_RETRY_AFTER_S = {Kind.TOO_MANY: 60, Kind.UNAVAILABLE: 2}

# What the framework refuses by itself: code and detail. werkzeug's own words may repeat what the client sent.
_OF_FRAMEWORK = {
    400: ("bad_request", "The request is malformed."),
    404: ("not_found", "There is no such address. See /docs."),
    405: ("method_not_allowed", "This address does not take that method; see the Allow header."),
    413: ("body_too_large", "The body is larger than 64 KB."),
    415: ("unsupported_media_type", "Send JSON, with Content-Type: application/json."),
}
_INTERNAL = ("internal_error", "Something went wrong here. Give the correlation id to support.")


class Problem(Exception):  # RFC 9457 calls it so
    """An answer that is about HTTP itself and so has no `Kind`.

    Args:
        status: of HTTP.
        code: stable snake_case word for programs.
        detail: a sentence for people.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail


def problem_body(status: int, code: str, detail: str, correlation_id: str) -> dict[str, Any]:
    """The members that every problem has."""
    return {
        "type": f"urn:punchcard:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": correlation_id,
    }


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """The body of RFC 9457; `extra` adds members and never replaces one."""
    body = {**(extra or {}), **problem_body(status, code, detail, context.correlation_id())}
    if errors:
        body["errors"] = errors
    response = current_app.response_class(write_json(body), status, content_type=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response


def of_refusal(refusal: Refusal) -> Response:
    """A service's (or our own) refusal as HTTP has it."""
    if refusal.kind is Kind.INTERNAL:
        return problem(STATUS_OF[refusal.kind], *_INTERNAL)
    extra = dict(refusal.extra)
    replayed = extra.pop("replayed", False)
    wait = extra.pop("retry_after_s", None)
    answer = problem(STATUS_OF[refusal.kind], refusal.code, refusal.detail, errors=refusal.errors, extra=extra)
    if refusal.kind in _RETRY_AFTER_S:
        answer.headers["Retry-After"] = str(int(wait or _RETRY_AFTER_S[refusal.kind]))
    if refusal.kind is Kind.UNAUTHENTICATED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="punchcard"'
    if replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def register(app: Flask) -> None:
    """Answer every error of the application this way. Call it after flask-smorest, which brings its own."""
    app.register_error_handler(Refusal, of_refusal)
    app.register_error_handler(Problem, lambda error: problem(error.status, error.code, error.detail))
    app.register_error_handler(MalformedBody, _of_malformed_body)
    app.register_error_handler(HTTPException, _of_framework)
    app.register_error_handler(Exception, _of_defect)


def _of_malformed_body(_error: MalformedBody) -> Response:
    return problem(400, "malformed_json", "The body is not valid JSON in UTF-8.")


def _of_framework(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < 400:
        return error
    code, detail = _OF_FRAMEWORK.get(error.code) or (_INTERNAL if error.code >= 500 else _OF_FRAMEWORK[400])
    answer = problem(error.code, code, detail)
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer


def _of_defect(error: Exception) -> Response:
    # the message of an exception may hold what the client sent: the log gets where it happened, not what with
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("a defect: %s", type(error).__name__, extra={"stack": where})
    return problem(500, *_INTERNAL)
