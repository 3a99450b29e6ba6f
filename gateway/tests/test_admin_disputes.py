"""Disputes for staff: listed, also as a file; answered once for a key."""

from __future__ import annotations

import csv

import pytest
from gateway_fakes import DISPUTE, USER, Check, FakeRpc, Send, authenticated, page_of

from kernel.errors import conflict

DISPUTES = "/v1/admin/disputes"


@pytest.fixture(autouse=True)
def signed_in(rpc: FakeRpc) -> None:
    rpc.replies["accounts.authenticate"] = lambda _: authenticated(user={**USER, "id": "usr_fay", "role": "finance"})


def test_disputes_are_listed_and_as_a_file(send: Send, rpc: FakeRpc, documented: Check) -> None:
    rpc.replies["payments.list_disputes"] = lambda data: page_of(DISPUTE, None if "cursor" in data else "c1")
    asked = f"{DISPUTES}?state=open&order_id=ord_1"
    answer = send("GET", asked)
    documented("GET", asked, answer)
    assert rpc.last("payments.list_disputes").data == {"state": "open", "order_id": "ord_1", "limit": 20}
    answer = send("GET", asked, headers={"Accept": "text/csv"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="disputes.csv"'
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [(row["order_number"], row["amount.amount_minor"], row["closed_at"]) for row in rows] == [
        ("PC-1", "12000", "")
    ] * 2
    assert send("GET", f"{DISPUTES}?state=maybe").status_code == 422


@pytest.mark.parametrize(("what", "body"), [("evidence", {"evidence": "They claimed the card."}), ("accept", None)])
def test_an_answer_needs_a_key_and_says_if_it_was_given_before(
    send: Send, rpc: FakeRpc, documented: Check, what: str, body: dict[str, str] | None
) -> None:
    path, method = f"{DISPUTES}/dsp_1/{what}", "send_evidence" if what == "evidence" else "accept_dispute"
    assert send("POST", path, json=body).json["code"] == "idempotency_key_required"
    assert rpc.names() == []
    rpc.replies[f"payments.{method}"] = {"dispute": DISPUTE, "replayed": True}
    answer = send("POST", path, json=body, headers={"Idempotency-Key": "k"})
    documented("POST", path, answer)
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
    assert rpc.last(f"payments.{method}").data == {"id": "dsp_1", "idempotency_key": "k", **(body or {})}
    rpc.replies[f"payments.{method}"] = conflict("dispute_over", "The card network has decided.")
    answer = send("POST", path, json=body, headers={"Idempotency-Key": "k2"})
    assert (answer.status_code, answer.json["code"]) == (409, "dispute_over")
