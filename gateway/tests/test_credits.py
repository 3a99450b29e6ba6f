"""The statement as JSON and CSV, and the trace of an entry."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from gateway_fakes import ENTRY, INTENT, ORDER, TRACE, Check, FakeRpc, Send, page_of

from kernel.errors import Kind, Refusal

ENTRIES = "/v1/credits/entries"
TRACED = f"{ENTRIES}/ltx_2/trace"


def test_entries_of_some_days(send: Send, rpc: FakeRpc, documented: Check) -> None:
    rpc.replies["credits.list_entries"] = page_of(ENTRY, "abc")
    answer = send("GET", f"{ENTRIES}?from=2026-11-01&to=2026-11-30&limit=5")
    documented("GET", ENTRIES, answer)
    assert rpc.last("credits.list_entries").data == {
        "limit": 5, "since": "2026-11-01T00:00:00.000Z", "until": "2026-12-01T00:00:00.000Z",
    }  # fmt: skip
    assert answer.headers["Link"] == f'<{ENTRIES}?limit=5&from=2026-11-01&to=2026-11-30&cursor=abc>; rel="next"'
    send("GET", f"{ENTRIES}?to=9998-12-31&cursor=abc")
    assert rpc.last("credits.list_entries").data == {
        "limit": 20, "cursor": "abc", "until": "9999-01-01T00:00:00.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=9999-12-31", "from=2026-11-02&to=2026-11-01", "since=2026-11-01"]
)
def test_wrong_days_are_refused(query: str, send: Send, rpc: FakeRpc) -> None:
    answer = send("GET", f"{ENTRIES}?{query}")
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert rpc.names() == []


def test_the_whole_statement_as_csv(send: Send, rpc: FakeRpc) -> None:
    pages: list[dict[str, Any]] = [
        {"items": [{**ENTRY, "memo": '=1+1, "a"'}], "next": "abc"}, {"items": [{**ENTRY, "id": "ent_2"}], "next": None},
    ]  # fmt: skip
    rpc.replies["credits.list_entries"] = lambda data: pages[1 if "cursor" in data else 0]
    answer = send("GET", f"{ENTRIES}?from=2026-11-01", headers={"Accept": "text/csv"})
    assert answer.content_type == "text/csv; charset=utf-8"
    assert "credits.csv" in answer.headers["Content-Disposition"]
    header, first, second = csv.reader(io.StringIO(answer.text))
    assert header[:5] == ["occurred_at", "kind", "amount", "balance_after", "memo"]
    assert first[1:5] == ["claim", "120", "120", '\'=1+1, "a"']  # not a formula
    assert second[-1] == "ent_2"
    assert rpc.last("credits.list_entries").data["since"] == "2026-11-01T00:00:00.000Z"


def test_a_trace_leads_from_the_entry_to_the_payment(send: Send, rpc: FakeRpc, documented: Check) -> None:
    answer = send("GET", TRACED)
    documented("GET", TRACED, answer)
    [source] = answer.json["sources"]
    assert source["card"]["id"] == "scc_1"
    order = source["order"]
    assert (order["id"], order["number"], order["line"]["id"]) == ("ord_1", ORDER["number"], "lin_1")
    assert order["payment"] == {**ORDER["payment"], "id": INTENT["intent_id"]}
    assert rpc.names() == [
        "credits.trace_entry", "cart.get_order", "payments.get_invoice", "payments.get_intent",
    ]  # fmt: skip
    assert order["invoice"]["number"]
    assert rpc.last("credits.trace_entry").data == {"id": "ltx_2"}


def test_what_one_may_not_see_is_null(send: Send, rpc: FakeRpc, documented: Check) -> None:
    rpc.replies["cart.get_order"] = Refusal(Kind.FORBIDDEN, "forbidden", "This needs another role.")
    answer = send("GET", TRACED)
    documented("GET", TRACED, answer)
    order = answer.json["sources"][0]["order"]
    assert (order["id"], order["number"], order["payment"]) == ("ord_1", None, None)
    rpc.replies["cart.get_order"] = Refusal(Kind.UNAVAILABLE, "unavailable", "Later.")
    assert send("GET", TRACED).status_code == 503


def test_another_organisations_order_stays_its_own(send: Send, rpc: FakeRpc, documented: Check) -> None:
    source = {**TRACE["sources"][0], "order": None}
    rpc.replies["credits.trace_entry"] = lambda _: {**TRACE, "sources": [source]}
    answer = send("GET", TRACED)
    documented("GET", TRACED, answer)
    assert answer.json["sources"][0]["order"] is None
    assert rpc.names() == ["credits.trace_entry"]


def test_an_unknown_entry_is_not_found(send: Send, rpc: FakeRpc) -> None:
    rpc.replies["credits.trace_entry"] = Refusal(Kind.NOT_FOUND, "not_found", "There is no such entry.")
    assert send("GET", TRACED).status_code == 404


def test_staff_trace_any_organisations_entry(send: Send, rpc: FakeRpc, documented: Check) -> None:
    path = "/v1/admin/credits/entries/ltx_2/trace"
    answer = send("GET", path)
    documented("GET", path, answer)
    assert rpc.last("credits.trace_entry").data == {"id": "ltx_2", "any_organization": True}
    assert answer.json["sources"][0]["order"]["payment"]["method"] == "card"
    assert "payments.get_intent" not in rpc.names()


def test_an_alert_is_set_and_lifted(send: Send, rpc: FakeRpc, documented: Check) -> None:
    for threshold in (60, None):
        answer = send("PATCH", "/v1/credits/alert", json={"threshold": threshold})
        documented("PATCH", "/v1/credits/alert", answer)
        assert rpc.last("credits.set_alert").data == {"threshold": threshold}
    documented("GET", "/v1/credits/alert", send("GET", "/v1/credits/alert"))
    for wrong in ({}, {"threshold": 0}, {"threshold": "60"}, {"threshold": 60, "email": "eve@evil.example"}):
        assert send("PATCH", "/v1/credits/alert", json=wrong).status_code == 422


def test_operators_see_what_reconciliations_found(send: Send, documented: Check) -> None:
    answer = send("GET", "/v1/admin/reconciliation")
    documented("GET", "/v1/admin/reconciliation", answer)
    assert answer.json["items"][0]["breaks_count"] == 1
