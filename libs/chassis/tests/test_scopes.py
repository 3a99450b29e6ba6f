"""An API key that was made for some things only is stopped before a worker sees the request."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from chassis.context import RequestContext
from chassis.identity import SCOPES, IdentitySigner, IdentityVerifier, public_key_of
from chassis.messages import RequestSchema
from chassis.messaging.incoming import Arrived
from chassis.rpc.requests import RequestDesk
from chassis.sealing import new_key
from chassis.testing import identity
from kernel.errors import Refusal

KEY = new_key()
BODY = json.dumps({"args": [], "kwargs": {}}).encode()


def _method(scope: str | None, *, anonymous: bool = False) -> SimpleNamespace:
    schema = RequestSchema()
    return SimpleNamespace(method_name="do", request=schema, reply=schema, anonymous=anonymous, scope=scope)


def _ask(method: SimpleNamespace, scopes: str | None) -> str:
    """What comes of it: the scopes of who asks, or the code of the refusal."""
    desk = RequestDesk("shop", {"do": method}, IdentityVerifier(public_key_of(KEY)))
    token = IdentitySigner(KEY).sign(identity("admin", scopes=scopes))  # type: ignore[arg-type]  # None is one too
    try:
        _, call = desk.check(
            "shop.do", Arrived("rpc-shop", BODY, {}, "application/json"), RequestContext("cor_1", token)
        )
    except Refusal as refusal:
        return refusal.code
    assert call.identity is not None
    return str(call.identity.scopes)


@pytest.mark.parametrize("needed", [*SCOPES, None])
def test_a_session_and_a_key_without_restrictions_may_do_all(needed: str | None) -> None:
    assert _ask(_method(needed), None) == "None"


@pytest.mark.parametrize("needed", [*SCOPES, None])
@pytest.mark.parametrize("scopes", ["read", "buy", "cards tickets", ""])
def test_a_restricted_key_may_read_and_what_it_was_made_for(needed: str | None, scopes: str) -> None:
    allowed = needed == "read" or needed in scopes.split()
    assert _ask(_method(needed), scopes) == (scopes if allowed else "scope_missing")


def test_what_is_open_to_everybody_is_open_to_a_restricted_key() -> None:
    assert _ask(_method(None, anonymous=True), "read") == "read"


def test_a_scope_is_a_whole_word() -> None:
    assert _ask(_method("buy"), "buyer rebuy") == "scope_missing"
