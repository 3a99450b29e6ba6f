"""What every route is made of: asking a service, answering, and the headers that mean something."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlencode

import flask_smorest
from flask import Request, Response, current_app, g, request
from marshmallow import INCLUDE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.routing import BaseConverter

from chassis import context
from chassis.messages import field_errors
from chassis.sealing import Sealer
from gateway.identities import AuthenticateReply, Credential, IdentityCache, digest_of, new_secret, unauthenticated
from gateway.jsontext import write_json
from gateway.problems import Problem
from gateway.settings import Settings
from kernel.clock import rfc3339
from kernel.errors import Kind, Refusal

View = TypeVar("View", bound=Callable[..., Any])

_EXTENSION = "punchcard"
#: How `inputs.DaysQuery` is written in an address.
_DAYS = {"first_day": "from", "last_day": "to"}
#: What a session token begins with; an API key begins otherwise.
SESSION_PREFIX = "pcs_"
_CREDENTIAL = re.compile(r"pc[sk]_[A-Za-z0-9_-]{20,128}")
_ETAG = re.compile(r'"([0-9]{1,18})"')
_AUTHENTICATE_REPLY = AuthenticateReply()


#: Characters in the longest id or SKU that may stand in a path.
LONGEST_ID = 64


class Id(BaseConverter):
    """An opaque id in a path: one segment without blanks or control characters. Anything else is no address."""

    regex = rf"[^/\s\x00-\x1f\x7f]{{1,{LONGEST_ID}}}"


class Rpc(Protocol):
    """What the gateway needs of the chassis' RPC client."""

    def call(
        self, service: str, method: str, data: dict[str, Any], *, reply: Schema, timeout_s: float = 5.0
    ) -> dict[str, Any]:
        """Ask a service; raises `Refusal`."""
        ...


class PassedThrough(Schema):
    """A reply that goes to the client as the service shaped it: checking it again would cost and find nothing."""

    class Meta:
        unknown = INCLUDE


_PASSED_THROUGH = PassedThrough()


@dataclass(frozen=True, slots=True)
class Backend:
    """What a route works with.

    Args:
        settings: how the gateway runs.
        rpc: the services.
        identities: the credentials that are known.
        passwords: seals for accounts.
        claim_codes: seals for credits.
    """

    settings: Settings
    rpc: Rpc
    identities: IdentityCache
    passwords: Sealer
    claim_codes: Sealer


def set_backend(app: Any, backend: Backend) -> None:
    """Give the application what its routes work with."""
    app.extensions[_EXTENSION] = backend


def backend() -> Backend:
    """What the route at hand works with."""
    return cast(Backend, current_app.extensions[_EXTENSION])


class Parser(FlaskParser):
    """Input for routes: unknown query parameters are errors too, and every error is a `Refusal`."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": "raise"}

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body that was read when the request was screened."""
        if not req.get_data(cache=True):
            return {}
        if not req.is_json:
            raise UnsupportedMediaType
        return g.body

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **options: Any) -> Any:
        """Name every wrong field."""
        found = [
            wrong for messages in cast(dict[str, Any], error.messages).values() for wrong in field_errors(messages)
        ]
        raise Refusal(Kind.INVALID, "validation_failed", "Some fields are wrong; see errors.", found) from error


class Blueprint(flask_smorest.Blueprint):
    """Routes of one resource, documented from their schemas."""

    ARGUMENTS_PARSER = Parser()


def open_to_all(view: View) -> View:
    """Mark a route that needs no credential. Every other one does."""
    documented = cast(View, Blueprint.doc(security=[])(view))
    documented.open_to_all = True  # type: ignore[attr-defined]  # a mark on the view, which `app` looks for
    return documented


def authenticate() -> None:
    """Find out who asks, and say so in every call of this request.

    Raises:
        Refusal: `unauthenticated`.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _CREDENTIAL.fullmatch(secret.strip()):
        raise unauthenticated()
    g.is_session = secret.strip().startswith(SESSION_PREFIX)
    become(digest_of(secret.strip()))


def become(digest: str) -> None:
    """Go on as whoever a credential is of: every call of this request says so.

    Args:
        digest: of the session token or API key.

    Raises:
        Refusal: `unauthenticated`.
    """
    g.credential = backend().identities.find(digest, _ask_accounts)
    at_hand = context.current()
    context.enter(
        context.RequestContext(
            context.correlation_id(), g.credential.identity_token, at_hand.deadline if at_hand else None
        )
    )


def _ask_accounts(digest: str) -> dict[str, Any]:
    return ask("accounts", "authenticate", {"credential_digest": digest}, reply=_AUTHENTICATE_REPLY)


def credential() -> Credential:
    """Who asks."""
    return cast(Credential, g.credential)


def is_session() -> bool:
    """Whether who asks has signed in; else it is an API key."""
    return bool(g.is_session)


def begin_session(email: str, password: str) -> tuple[str, dict[str, Any]]:
    """Sign somebody in.

    Args:
        email: the user name.
        password: in clear; it is sealed here, for accounts alone.

    Returns:
        The token of the new session, and what accounts says of it.

    Raises:
        Refusal: what ``accounts.sign_in`` refuses.
    """
    token = new_secret(SESSION_PREFIX)
    reply = ask(
        "accounts",
        "sign_in",
        {
            "email": email,
            "sealed_password": backend().passwords.seal(password),
            "session_digest": digest_of(token),
            "client_address": client_address(),
        },
    )
    return token, reply


def end_session(digest: str) -> None:
    """Sign somebody out: the token with this digest is worthless everywhere within a second."""
    identities = backend().identities
    identities.forget(digest)
    ask("accounts", "sign_out", {"session_digest": digest})
    identities.revoke(digest)  # the other processes are told by accounts


def require_session() -> None:
    """Refuse an API key where only a person can be meant.

    Raises:
        Refusal: `not_a_session`.
    """
    if not is_session():
        raise Refusal(Kind.FORBIDDEN, "not_a_session", "An API key has no session. Sign in; a key is revoked as such.")


def client_address() -> str:
    """Where the request came from, as far as trusted proxies tell."""
    return (request.remote_addr or "unknown")[:64]


def ask(
    service: str,
    method: str,
    data: dict[str, Any] | None = None,
    *,
    reply: Schema = _PASSED_THROUGH,
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Ask a service.

    Args:
        service: its name.
        method: of that service.
        data: the request.
        reply: what is read of the answer; all of it goes through unless told.
        timeout_s: how long to wait, in seconds; the setting unless told.

    Raises:
        Refusal: the service's, or `unavailable`.
    """
    at_hand = backend()
    return at_hand.rpc.call(
        service, method, data or {}, reply=reply, timeout_s=timeout_s or at_hand.settings.rpc_timeout_s
    )


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer, without a second pass over what a service has checked."""
    return current_app.response_class(write_json(body), status, headers, mimetype="application/json")


def page(reply: Mapping[str, Any], query: Mapping[str, Any]) -> Response:
    """A page of a list, with a Link header to the next one (RFC 8288)."""
    following = reply.get("next")
    if following is None:
        return answer(reply)
    said = {_DAYS.get(name, name): value for name, value in query.items()}
    target = f"{request.path}?{urlencode({**said, 'cursor': following})}"
    return answer(reply, headers={"Link": f'<{target}>; rel="next"'})


def of_days(query: Mapping[str, Any]) -> dict[str, Any]:
    """What a list of some days (`inputs.DaysQuery`) asks a service for: moments in place of the days in UTC."""
    wanted = {name: value for name, value in query.items() if name not in ("first_day", "last_day")}
    if "first_day" in query:
        wanted["since"] = _midnight(query["first_day"])
    if "last_day" in query:
        wanted["until"] = _midnight(query["last_day"] + timedelta(days=1))
    return wanted


def _midnight(day: date) -> str:
    return rfc3339(datetime.combine(day, time(), UTC))


def needs_key(view: View) -> View:
    """The route moves money, credits or cards: it wants an Idempotency-Key and hands it to the view.

    Raises:
        Problem: 400 `idempotency_key_required`, `idempotency_key_invalid`.
    """

    @functools.wraps(view)
    def checked(*args: Any, **values: Any) -> Any:
        return view(*args, idempotency_key=_idempotency_key(), **values)

    parameter = {
        "in": "header", "name": "Idempotency-Key", "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "The same key with the same body replays the first answer.",
    }  # fmt: skip
    return cast(View, Blueprint.doc(parameters=[parameter])(checked))


def _idempotency_key() -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key:
        raise Problem(400, "idempotency_key_required", "Send an Idempotency-Key: any text that is new each time.")
    if len(key) > 255 or not (key.isascii() and key.isprintable()):
        raise Problem(400, "idempotency_key_invalid", "An Idempotency-Key has 1 to 255 printable ASCII characters.")
    return key


def replayed(reply: Mapping[str, Any]) -> dict[str, str]:
    """The header that tells a replay from a first answer."""
    return {"Idempotent-Replayed": "true"} if reply.get("replayed") else {}


def if_match() -> dict[str, int]:
    """The version that the client saw, as the `if_match` of a request; nothing if it does not care.

    Raises:
        Refusal: `precondition_failed`: it is no ETag of ours, so it cannot be the present one (RFC 9110, 13.1.1).
    """
    wanted = request.headers.get("If-Match", "*").strip()
    if wanted == "*":
        return {}
    found = _ETAG.fullmatch(wanted)
    if found is None:
        raise Refusal(Kind.PRECONDITION_FAILED, "stale_cart", "The cart has changed since you read it. Read it again.")
    return {"if_match": int(found[1])}


def given(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without the fields that say nothing: an explicit null is the same as none, and makes the same request."""
    return {key: value for key, value in data.items() if value is not None}
