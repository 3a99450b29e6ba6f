"""What a request and a reply look like on the wire: stock nameko's format, plus what it lacks.

Request: ``{"args": [], "kwargs": {...}}`` to exchange ``nameko-rpc`` with key ``service.method``. Reply:
``{"result": ..., "error": null | {...}}``. A stock proxy can call our services; it sees our refusals as `RemoteError`
with the stable code as the type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kernel.errors import Kind, Refusal

#: How long the caller waits for the answer, in milliseconds from when the request was sent.
TIMEOUT_HEADER = "timeout_ms"
IDENTITY_HEADER = "identity"
CORRELATION_HEADER = "correlation_id"
#: Where to publish the reply if not to stock nameko's exchange; ours go to the queue directly.
REPLY_EXCHANGE_HEADER = "reply_exchange"

REFUSAL_KEY = "refusal"

_encode = json.JSONEncoder(separators=(",", ":")).encode
#: The code with which a service that works in part says so when asked whether it is well; the detail says why.
NOT_READY = "not_ready"


class BadMessage(Exception):
    """A request that cannot be answered with anything but "this is no request"."""


def write_request(data: Mapping[str, Any]) -> str:
    return _encode({"args": [], "kwargs": data})


def read_request(body: bytes | str) -> dict[str, Any]:
    """The keyword arguments.

    Raises:
        BadMessage: it is not a request, or has positional arguments.
    """
    try:
        payload = json.loads(body)
        arguments, keywords = payload["args"], payload["kwargs"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadMessage("not a request") from error
    if arguments or not isinstance(keywords, dict):
        raise BadMessage("name every argument")
    return keywords


def write_result(result: Any) -> str:
    return _encode({"result": result, "error": None})


def write_refusal(refusal: Refusal, correlation_id: str) -> str:
    error = {
        "exc_type": refusal.code,
        "exc_path": f"punchcard.{refusal.code}",
        "exc_args": [refusal.detail],
        "value": refusal.detail,
        REFUSAL_KEY: refusal.as_dict(),
        "correlation_id": correlation_id,
    }
    return _encode({"result": None, "error": error})


def read_reply(body: bytes | str) -> Any:
    """The result.

    Raises:
        Refusal: the one that was answered; `internal_error` for anything else that went wrong over there.
    """
    try:
        payload = json.loads(body)
        error = payload["error"]
        if not error:
            return payload["result"]
        refusal = error.get(REFUSAL_KEY) or {}
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise internal_error() from broken
    raise Refusal.from_dict(refusal) if refusal else internal_error()


def internal_error() -> Refusal:
    """The answer to a defect: nothing but that there was one."""
    return Refusal(Kind.INTERNAL, "internal_error", "Something went wrong on our side. It has been recorded.")
