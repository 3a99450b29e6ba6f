"""What an issuer does with its cards."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_fakes import CARD, Check, FakeRpc, Send

from kernel.errors import Kind, Refusal

KEY = {"Idempotency-Key": "k1"}
BODIES: dict[str, dict[str, Any]] = {
    "freeze": {}, "unfreeze": {}, "reissue": {}, "bind": {"organization_number": "1007"},
    "split": {"credits": [100, 20]},
}  # fmt: skip


@pytest.mark.parametrize("action", BODIES)
def test_a_change_goes_through(action: str, send: Send, rpc: FakeRpc, documented: Check) -> None:
    path = f"/v1/support-cards/scc_1/{action}"
    answer = send("POST", path, json=BODIES[action], headers=KEY)
    documented("POST", path, answer)
    assert answer.status_code == 200
    assert (answer.json["card"]["state"] if action == "split" else answer.json) == (
        "split" if action == "split" else CARD
    )
    asked = rpc.last(f"credits.{action}_card").data
    assert asked == {"card_id": "scc_1", "idempotency_key": "k1", **BODIES[action]}
    rpc.replies[f"credits.{action}_card"] = {"card": CARD, "cards": [], "replayed": True}
    assert send("POST", path, json=BODIES[action], headers=KEY).headers["Idempotent-Replayed"] == "true"
    rpc.replies[f"credits.{action}_card"] = Refusal(Kind.CONFLICT, "card_claimed", "This card is claimed.")
    assert send("POST", path, json=BODIES[action], headers=KEY).json["code"] == "card_claimed"
    assert send("POST", path, json=BODIES[action]).json["code"] == "idempotency_key_required"
    assert send("GET", path).status_code == 405


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("freeze", {"state": "issued"}),
        ("bind", {}),
        ("bind", {"organization_number": "1007", "mail_domain": "bolt.example"}),
        ("bind", {"organization_id": "org_bolt"}),
        ("split", {"credits": [300]}),
        ("split", {"credits": [300, 0]}),
        ("split", {"credits": [1] * 51}),
        ("split", {"credits": ["100", "200"]}),
        ("split", {}),
    ],
)
def test_malformed_ones_are_refused(action: str, body: dict[str, Any], send: Send, rpc: FakeRpc) -> None:
    answer = send("POST", f"/v1/support-cards/scc_1/{action}", json=body, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert rpc.names() == []


def test_nulls_lift_a_binding(send: Send, rpc: FakeRpc) -> None:
    path = "/v1/support-cards/scc_1/bind"
    assert send("POST", path, json={"organization_number": None, "mail_domain": None}, headers=KEY).status_code == 200
    assert rpc.last("credits.bind_card").data == {"card_id": "scc_1", "idempotency_key": "k1"}
