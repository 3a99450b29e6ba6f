"""Sign-up and password reset: what leaves this process, and that no link is used up by looking at it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from flask.testing import FlaskClient
from gateway_fakes import ACCOUNTS, FakeRpc, Send
from gateway_fakes import TOKEN as GATEWAY_TOKEN

from gateway.identities import digest_of
from kernel.errors import Kind, Refusal

TOKEN = "k5Rz0yqk6mC2nWQJ1h7i3sVt9bXe4uLdFgPoAaNcEyM"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
PASSWORD = " correct horse battery "
NEW = {"email": "ada@acme.example", "name": "Ada", "organization_name": "Acme", "password": PASSWORD}
OPEN = [
    ("/v1/users", NEW, "accounts.sign_up", 202),
    ("/v1/users/confirm", {"token": TOKEN}, "accounts.confirm_sign_up", 204),
    ("/v1/password-resets", {"email": "ada@acme.example"}, "accounts.request_password_reset", 202),
    (f"/v1/password-resets/{TOKEN}", {"password": PASSWORD}, "accounts.reset_password", 204),
    (f"/v1/invitations/{TOKEN}", {"password": PASSWORD}, "accounts.accept_invitation", 204),
]


@pytest.mark.parametrize(("path", "body", "method", "status"), OPEN)
def test_nobody_need_be_signed_in_and_no_secret_leaves_in_clear(
    path: str, body: dict[str, Any], method: str, status: int, client: FlaskClient, rpc: FakeRpc
) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.data, rpc.names()) == (status, b"", [method])
    assert answer.headers["Cache-Control"] == "no-store"
    asked = dict(rpc.last(method).data)
    if "password" in body:
        assert ACCOUNTS.open(asked.pop("sealed_password")) == PASSWORD
    assert "horse" not in str(asked)
    assert TOKEN not in str(asked)


def test_what_is_asked(client: FlaskClient, rpc: FakeRpc) -> None:
    for path, body, _, _ in OPEN:
        client.post(path, json=body, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    signed_up = dict(rpc.last("accounts.sign_up").data)
    signed_up.pop("sealed_password")
    assert signed_up == {
        "email": "ada@acme.example", "name": "Ada", "organization_name": "Acme", "client_address": "127.0.0.1",
    }  # fmt: skip
    assert rpc.last("accounts.confirm_sign_up").data == {"token_digest": DIGEST}
    assert rpc.last("accounts.reset_password").data["token_digest"] == DIGEST
    assert "evil" not in str(rpc.calls)


@pytest.mark.parametrize("path", [each[0] for each in OPEN])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_scanner_that_looks_at_links_uses_none_up(path: str, method: str, client: FlaskClient, rpc: FakeRpc) -> None:
    assert client.open(path, method=method).status_code == 405
    assert rpc.calls == []


@pytest.mark.parametrize(("path", "body", "method", "_status"), OPEN)
def test_refusals_pass_through(
    path: str, body: dict[str, Any], method: str, _status: int, client: FlaskClient, rpc: FakeRpc
) -> None:
    rpc.replies[method] = Refusal(Kind.TOO_MANY, "too_many_attempts", "Wait.", extra={"retry_after_s": 99})
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "99")


def test_a_password_is_changed_within_a_session_and_leaves_this_process_sealed(send: Send, rpc: FakeRpc) -> None:
    body = {"old_password": "the old pass phrase", "new_password": PASSWORD}
    answer = send("POST", "/v1/account/password", json=body)
    assert (answer.status_code, answer.data) == (204, b"")
    asked = rpc.last("accounts.change_password").data
    opened = [ACCOUNTS.open(asked[f"sealed_{which}_password"]) for which in ("old", "new")]
    assert opened == ["the old pass phrase", PASSWORD]
    assert asked["session_digest"] == digest_of(GATEWAY_TOKEN)
    rpc.replies.pop("accounts.change_password")
    headers = {"Authorization": f"Bearer pck_{'a' * 43}"}
    refused = send("POST", "/v1/account/password", json=body, headers=headers)
    assert (refused.status_code, refused.json["code"]) == (403, "not_a_session")
