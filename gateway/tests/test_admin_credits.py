"""Credits that staff give or put right."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_fakes import GRANTED, SPENT, Check, FakeRpc, Send

from kernel.errors import Kind, Refusal

GRANTS, ADJUSTMENTS = "/v1/admin/credits/grants", "/v1/admin/credits/adjustments"
KEY = {"Idempotency-Key": "k1"}
GRANT = {"organization_id": "org_acme", "credits": 30, "reason": "Sorry for the long wait"}


def test_a_grant_goes_through(send: Send, rpc: FakeRpc, documented: Check) -> None:
    answer = send("POST", GRANTS, json={**GRANT, "expires_at": "2027-01-31T01:00:00+01:00"}, headers=KEY)
    documented("POST", GRANTS, answer)
    assert (answer.status_code, answer.json) == (201, GRANTED)
    asked = rpc.last("credits.grant_credits").data
    assert asked == {**GRANT, "expires_at": "2027-01-31T00:00:00.000Z", "idempotency_key": "k1"}
    send("POST", GRANTS, json={**GRANT, "expires_at": None}, headers=KEY)
    assert rpc.last("credits.grant_credits").data == {**GRANT, "idempotency_key": "k1"}


def test_an_adjustment_goes_through(send: Send, rpc: FakeRpc, documented: Check) -> None:
    body = {**GRANT, "credits": -30}
    answer = send("POST", ADJUSTMENTS, json=body, headers=KEY)
    documented("POST", ADJUSTMENTS, answer)
    assert (answer.status_code, answer.json) == (201, SPENT)
    assert rpc.last("credits.adjust_credits").data == {**body, "idempotency_key": "k1"}
    rpc.replies["credits.adjust_credits"] = Refusal(Kind.CONFLICT, "insufficient_credits", "No.", extra={"balance": 3})
    refused = send("POST", ADJUSTMENTS, json=body, headers=KEY)
    assert (refused.status_code, refused.json["balance"]) == (409, 3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (GRANTS, {**GRANT, "credits": 0}),
        (GRANTS, {**GRANT, "credits": -5}),
        (GRANTS, {**GRANT, "reason": ""}),
        (GRANTS, {**GRANT, "expires_at": "tomorrow"}),
        (GRANTS, {**GRANT, "balance": 5}),
        (ADJUSTMENTS, {**GRANT, "credits": 0}),
        (ADJUSTMENTS, {"organization_id": "org_acme", "credits": 5}),
    ],
)
def test_malformed_ones_are_refused(send: Send, rpc: FakeRpc, path: str, body: dict[str, Any]) -> None:
    answer = send("POST", path, json=body, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert send("POST", path, json=GRANT).json["code"] == "idempotency_key_required"
    assert rpc.names() == []
