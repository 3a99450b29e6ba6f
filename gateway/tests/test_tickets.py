"""Tickets over HTTP: the statuses, the headers, and what staff leave in the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from gateway_fakes import REPLIES, TICKET, USER, Check, FakeRpc, Send, authenticated

from kernel.errors import Kind, Refusal, conflict, not_found

KEY = {"Idempotency-Key": "k1"}
NEW = {"deployment_id": "14181336", "subject": "Calls drop", "description": "All\nof them", "cap_credits": 60}
#: Everything that credits has a part in, with the status that it has once credits has answered.
MOVING: dict[str, tuple[str, Any, int]] = {
    "open_ticket": ("/v1/tickets", NEW, 201),
    "answer_overrun": ("/v1/tickets/tkt_1/overrun", {"approve": True}, 200),
    "close_ticket": ("/v1/tickets/tkt_1/close", None, 200),
    "reopen_ticket": ("/v1/tickets/tkt_1/reopen", {"cap_credits": 60}, 200),
    "give_back_defect": ("/v1/tickets/tkt_1/defect", {"reason": "Ours"}, 200),
}


@pytest.mark.parametrize("method", MOVING)
def test_done_or_still_to_be_done(send: Send, rpc: FakeRpc, documented: Check, method: str) -> None:
    path, body, done = MOVING[method]
    for status, replayed in ((done, False), (done, True), (202, False)):
        rpc.replies[f"support.{method}"] = {"ticket": TICKET, "status": status, "replayed": replayed}
        answer = send("POST", path, json=body, headers=KEY)
        documented("POST", path, answer)
        assert (answer.status_code, answer.json) == (status, TICKET)
        assert answer.headers.get("Idempotent-Replayed") == ("true" if replayed else None)
        located = status in (201, 202)
        assert answer.headers.get("Location") == (f"/v1/tickets/{TICKET['id']}" if located else None)
        assert answer.headers.get("Retry-After") == ("1" if status == 202 else None)
        assert rpc.last(f"support.{method}").data["idempotency_key"] == "k1"
        assert rpc.last(f"support.{method}").timeout_s > 5.0, "support itself waits that long for credits"


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (not_found("ticket"), 404),
        (Refusal(Kind.FORBIDDEN, "forbidden", "No."), 403),
        (conflict("insufficient_credits", "Too few.", extra={"balance": 3}), 409),
    ],
)
def test_refused(send: Send, rpc: FakeRpc, refusal: Refusal, status: int) -> None:
    rpc.replies["support.open_ticket"] = refusal
    answer = send("POST", "/v1/tickets", json=NEW, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (status, refusal.code)
    assert answer.json.get("balance") == refusal.extra.get("balance")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/tickets", {**NEW, "cap_credits": 0}, "cap_credits"),
        ("/v1/tickets", {**NEW, "cap_credits": "60"}, "cap_credits"),
        ("/v1/tickets", {**NEW, "subject": "a\nb"}, "subject"),
        ("/v1/tickets", {**NEW, "description": "\x07"}, "description"),
        ("/v1/tickets", {**NEW, "organization_id": "org_globex"}, "organization_id"),
        ("/v1/tickets", {**NEW, "state": "closed"}, "state"),
        ("/v1/tickets/tkt_1/time", {"note": "x"}, ""),
        ("/v1/tickets/tkt_1/time", {"note": "x", "minutes": 0}, "minutes"),
        ("/v1/tickets/tkt_1/overrun", {"approve": 1}, "approve"),
        ("/v1/tickets/tkt_1/comments", {"text": " "}, "text"),
        ("/v1/tickets/tkt_1/defect", {}, "reason"),
    ],
)
def test_bad_input_asks_nobody(send: Send, rpc: FakeRpc, path: str, body: Any, field: str) -> None:
    answer = send("POST", path, json=body, headers=KEY)
    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, [field])
    assert rpc.names() == []


def test_lists_and_comments_link_to_the_next_page(send: Send, rpc: FakeRpc) -> None:
    for path in ("/v1/tickets?state=open", "/v1/tickets/tkt_1/comments", "/v1/admin/tickets?organization_id=o"):
        for name in ("list_tickets", "list_comments", "list_queue"):
            rpc.replies[f"support.{name}"] = {**REPLIES[f"support.{name}"], "next": "more"}
        answer = send("GET", path)
        assert 'rel="next"' in answer.headers["Link"], path
        assert "cursor=more" in answer.headers["Link"]


@pytest.mark.parametrize(
    ("method", "path", "body", "action", "about"),
    [
        ("GET", "/v1/admin/tickets?state=open", None, "list_queue", {"state": "open", "limit": 20}),
        ("GET", "/v1/admin/tickets/tkt_1", None, "get_any", {"ticket_id": "tkt_1"}),
        (
            "POST", "/v1/tickets/tkt_1/time", {"minutes": 5, "note": "x", "worked_on": "2026-11-24"}, "add_time",
            {"ticket_id": "tkt_1", "minutes": 5, "reverses": None},
        ),
        (
            "POST", "/v1/tickets/tkt_1/defect", {"reason": "Ours"}, "give_back_defect",
            {"ticket_id": "tkt_1", "reason": "Ours"},
        ),
    ],
)  # fmt: skip
def test_what_staff_do_leaves_a_line(
    send: Send, rpc: FakeRpc, caplog: pytest.LogCaptureFixture, method: str, path: str, body: Any, action: str,
    about: dict[str, Any],
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO, "gateway.audit")
    rpc.replies["accounts.authenticate"] = lambda _: authenticated(user={**USER, "id": "usr_sam", "role": "support"})
    assert send(method, path, json=body, headers=KEY).status_code < 300
    (line,) = [each for each in caplog.records if each.name == "gateway.audit"]
    assert (line.user_id, line.action, line.outcome, line.about) == ("usr_sam", action, "done", about)
