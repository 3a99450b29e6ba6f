"""The webhook route: hands on what came, as it came, and knows nothing."""

from __future__ import annotations

import base64

import pytest
from flask.testing import FlaskClient
from gateway_fakes import FakeRpc

from gateway.screening import LARGEST_BODY
from kernel.errors import Kind, Refusal

URL = "/v1/webhooks/payments"
BODY = b' {"id":"evt_1",\r\n "type" : "charge.succeeded", "data":{}}\n'
SIGNED = {"Content-Type": "application/json", "Provider-Signature": "t=1,v1=00"}


def test_the_raw_body_and_the_signature_go_to_payments(client: FlaskClient, rpc: FakeRpc) -> None:
    answer = client.post(URL, data=BODY, headers=SIGNED)

    assert (answer.status_code, answer.data) == (204, b"")
    [call] = rpc.calls
    assert (call.method, call.identity_token) == ("payments.receive_webhook", None)
    assert call.data == {"body": base64.b64encode(BODY).decode(), "signature": "t=1,v1=00"}


def test_no_signature_is_for_payments_to_refuse(client: FlaskClient, rpc: FakeRpc) -> None:
    client.post(URL, data=b"anything", headers={"Provider-Signature": "x" * 5000})
    client.post(URL, data=b"")
    assert [len(call.data["signature"]) for call in rpc.calls] == [1000, 0]


def test_a_refusal_says_nothing_more(client: FlaskClient, rpc: FakeRpc) -> None:
    rpc.replies["payments.receive_webhook"] = Refusal(Kind.UNAUTHENTICATED, "webhook_refused", "Not accepted.")
    answer = client.post(URL, data=BODY, headers=SIGNED)
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "detail", "code", "correlation_id"}


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream"])
def test_too_large_a_body_goes_nowhere(client: FlaskClient, rpc: FakeRpc, content_type: str) -> None:
    body = b'{"a": "' + b"a" * LARGEST_BODY + b'"}'
    answer = client.post(URL, data=body, headers={**SIGNED, "Content-Type": content_type})
    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")
    assert rpc.calls == []


def test_a_broken_body_goes_nowhere(client: FlaskClient, rpc: FakeRpc) -> None:
    answer = client.post(URL, data=b"{", headers=SIGNED)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_json")
    assert rpc.calls == []
