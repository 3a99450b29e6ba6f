"""The page for operators: read in a browser by staff who sign in on it, and by nobody else."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from gateway_fakes import ACCOUNTS, RECONCILED, STAFF, USER, FakeRpc, authenticated, page_of
from werkzeug.test import TestResponse

from gateway.reconciling import what_to_do
from kernel.errors import Kind, Refusal

PAGE = "/admin/reconciliation"
FORM = {"email": "fay@punchcard.example", "password": "a pass phrase"}


@pytest.fixture(autouse=True)
def staff(rpc: FakeRpc) -> None:
    rpc.replies["accounts.authenticate"] = lambda _: authenticated(user=STAFF)


def policy_allows(answer: TestResponse) -> bool:
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"style-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]


def test_nothing_is_shown_before_somebody_has_signed_in(client: FlaskClient, rpc: FakeRpc) -> None:
    answer = client.get(PAGE)
    assert (answer.status_code, answer.mimetype, rpc.names()) == (200, "text/html", [])
    assert 'type="password"' in answer.text
    assert "paid_line_is_bound" not in answer.text
    assert policy_allows(answer)
    assert "script" not in answer.text


def test_staff_read_what_is_broken_and_what_to_do_and_leave_no_session(
    client: FlaskClient, rpc: FakeRpc, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.audit")
    answer = client.post(PAGE, data=FORM)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert rpc.names() == ["accounts.sign_in", "credits.list_reconciliations", "accounts.sign_out"]
    sent = rpc.last("accounts.sign_in").data
    assert ACCOUNTS.open(sent["sealed_password"]) == FORM["password"]
    assert rpc.last("accounts.sign_out").data == {"session_digest": sent["session_digest"]}
    for shown in ("1 place is broken", "paid_line_is_bound", "ord_1 lin_1", "long ago", "12 orders", "timeline"):
        assert shown in answer.text
    assert FORM["password"] not in answer.text
    assert policy_allows(answer)
    assert "Set-Cookie" not in answer.headers
    [line] = [line for line in caplog.records if line.name == "gateway.audit"]
    assert (line.action, line.outcome) == ("look_at_reconciliations", "done")  # type: ignore[attr-defined]  # set by `extra`


@pytest.mark.parametrize(
    ("items", "shown"),
    [([], "No reconciliation has ended yet"), ([{**RECONCILED, "breaks_count": 0, "breaks": []}], "All is well")],
)
def test_all_is_well_or_nothing_has_run(client: FlaskClient, rpc: FakeRpc, items: list[Any], shown: str) -> None:
    rpc.replies["credits.list_reconciliations"] = {"items": items, "next": None}
    assert shown in client.post(PAGE, data=FORM).text


def test_what_a_break_says_is_text(client: FlaskClient, rpc: FakeRpc) -> None:
    evil = {**RECONCILED["breaks"][0], "subject": "<img src=x onerror=alert(1)>"}
    rpc.replies["credits.list_reconciliations"] = page_of({**RECONCILED, "breaks": [evil]})
    text = client.post(PAGE, data=FORM).text
    assert "&lt;img" in text
    assert not re.search(r"<img", text)


def test_others_are_told_no_and_see_nothing(client: FlaskClient, rpc: FakeRpc) -> None:
    rpc.replies["accounts.authenticate"] = lambda _: authenticated(user=USER)
    answer = client.post(PAGE, data=FORM)
    assert (answer.status_code, rpc.names()) == (403, ["accounts.sign_in", "accounts.sign_out"])
    assert "for the staff" in answer.text
    rpc.replies["accounts.sign_in"] = Refusal(Kind.UNAUTHENTICATED, "invalid_credentials", "The password is wrong.")
    answer = client.post(PAGE, data=FORM)
    assert (answer.status_code, answer.mimetype) == (401, "text/html")
    assert "The password is wrong." in answer.text
    assert 'type="password"' in answer.text
    assert client.post(PAGE, data={"email": "a"}).status_code == 422


@pytest.mark.parametrize(
    ("rule", "said"),
    [("queue_is_empty", "dead-letters"), ("ledger:postings", "by hand"), ("refund_is_ended", "half done"),
     ("charged_amount_is_the_total", "bank"), ("a_rule_of_tomorrow", "timeline")],
)  # fmt: skip
def test_advice_is_of_the_rule(rule: str, said: str) -> None:
    assert said in what_to_do(rule)
