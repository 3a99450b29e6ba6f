"""What staff may do: the dead letters of every service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from gateway_fakes import DEAD_LETTER, REFUND, SPENT, USER, Check, FakeRpc, Send, authenticated, page_of

from kernel.errors import Kind, Refusal

LETTERS = "/v1/admin/dead-letters"
SERVICES = ["accounts", "catalog", "cart", "payments", "credits", "support", "notifications"]


@pytest.fixture(autouse=True)
def signed_in(rpc: FakeRpc) -> None:
    rpc.replies["accounts.authenticate"] = lambda _: authenticated(user={**USER, "id": "usr_sue", "role": "support"})


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[Any, ...]]]:
    caplog.set_level(logging.INFO, "gateway.audit")
    return lambda: [
        (line.user_id, line.role, line.action, line.outcome, line.about)
        for line in caplog.records
        if line.name == "gateway.audit"
    ]


def letters(rpc: FakeRpc, service: str, *ids: str) -> None:
    """Give a service so many dead letters, as a service pages through them."""

    def listed(data: dict[str, Any]) -> dict[str, Any]:
        start = int(data.get("cursor", 0))
        end = start + data["limit"]
        return {
            "items": [{**DEAD_LETTER, "id": each} for each in ids[start:end]],
            "next": str(end) if end < len(ids) else None,
        }

    rpc.replies[f"{service}.list_dead_letters"] = listed


def test_letters_of_one_service_and_cause(send: Send, rpc: FakeRpc, documented: Check) -> None:
    rpc.replies["credits.list_dead_letters"] = page_of(DEAD_LETTER)
    path = f"{LETTERS}?service=credits&cause=malformed&limit=5&cursor=credits.abc"
    answer = send("GET", path)
    documented("GET", path, answer)
    assert answer.json == {"items": [{"service": "credits", **DEAD_LETTER}], "next": None}
    assert rpc.names() == ["credits.list_dead_letters"]
    wanted = {"limit": 5, "cause_prefix": "malformed", "cursor": "abc"}
    assert rpc.last("credits.list_dead_letters").data == wanted


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_pages_go_through_all_services_and_miss_nothing(limit: int, send: Send, rpc: FakeRpc) -> None:
    for service in SERVICES:
        letters(rpc, service)
    letters(rpc, "cart", "a", "b", "c")
    letters(rpc, "credits", "d")
    letters(rpc, "notifications", "e", "f")
    found: list[str] = []
    path: str | None = f"{LETTERS}?limit={limit}"
    while path:
        answer = send("GET", path)
        assert answer.status_code == 200
        assert len(answer.json["items"]) <= limit
        found += [f"{item['service']} {item['id']}" for item in answer.json["items"]]
        following = answer.json["next"]
        path = f"{LETTERS}?limit={limit}&cursor={following}" if following else None
    assert found == ["cart a", "cart b", "cart c", "credits d", "notifications e", "notifications f"]


@pytest.mark.parametrize("cursor", ["nonsense", "billing.abc", "cart.abc"])
def test_cursor_of_another_list_is_refused(cursor: str, send: Send, rpc: FakeRpc) -> None:
    answer = send("GET", f"{LETTERS}?service=credits&cursor={cursor}")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_cursor")
    assert rpc.names() == []


def test_replay_of_one_or_of_a_cause(send: Send, rpc: FakeRpc, documented: Check) -> None:
    for body, asked in (
        ({"service": "cart", "id": "dlt_1"}, {"id": "dlt_1"}),
        ({"service": "cart", "cause": "RuntimeError"}, {"cause_prefix": "RuntimeError"}),
    ):
        answer = send("POST", f"{LETTERS}/replay", json=body)
        documented("POST", f"{LETTERS}/replay", answer)
        assert answer.json == {"replayed": 1, "remaining": 0}
        assert rpc.last("cart.replay_dead_letters").data == asked


@pytest.mark.parametrize(
    "body",
    [
        {"service": "cart"},
        {"service": "cart", "id": "dlt_1", "cause": "x"},
        {"service": "gateway", "id": "dlt_1"},
        {"id": "dlt_1"},
        {"service": "cart", "cause": ""},
        {"service": "cart", "id": None},
        {"service": "cart", "all": True},
    ],
)
def test_unclear_replay_is_refused(body: dict[str, Any], send: Send, rpc: FakeRpc) -> None:
    answer = send("POST", f"{LETTERS}/replay", json=body)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert rpc.names() == []


def test_customers_are_refused_whatever_they_send_and_the_attempt_is_on_record(
    send: Send, rpc: FakeRpc, audit: Callable[[], list[tuple[Any, ...]]]
) -> None:
    rpc.replies["accounts.authenticate"] = lambda _: authenticated()
    listed = send("GET", LETTERS)
    replayed = send("POST", f"{LETTERS}/replay", json={"service": "nonsense"})
    assert [listed.status_code, replayed.status_code] == [403, 403]
    assert rpc.names() == []
    assert audit() == [
        ("usr_ada", "buyer", "list_dead_letters", "forbidden", {}),
        ("usr_ada", "buyer", "replay_dead_letters", "forbidden", {}),
    ]


def test_nobody_gets_in_without_a_credential(client: Any, rpc: FakeRpc) -> None:
    assert client.get(LETTERS).status_code == 401
    assert client.post(f"{LETTERS}/replay", json={"service": "cart", "id": "dlt_1"}).status_code == 401
    assert rpc.calls == []


def test_every_call_is_on_record(send: Send, rpc: FakeRpc, audit: Callable[[], list[tuple[Any, ...]]]) -> None:
    send("GET", f"{LETTERS}?service=cart")
    send("POST", f"{LETTERS}/replay", json={"service": "cart", "cause": "RuntimeError"})
    send("POST", f"{LETTERS}/replay", json={"service": "cart"})
    rpc.replies["cart.replay_dead_letters"] = ValueError("a defect")
    send("POST", f"{LETTERS}/replay", json={"service": "cart", "id": "dlt_1"})
    replay = ("usr_sue", "support", "replay_dead_letters")
    assert audit() == [
        ("usr_sue", "support", "list_dead_letters", "done", {"service": "cart", "limit": 20}),
        (*replay, "done", {"service": "cart", "cause": "RuntimeError", "replayed": 1, "remaining": 0}),
        (*replay, "validation_failed", {}),
        (*replay, "failed", {"service": "cart", "id": "dlt_1"}),
    ]


SPEND = {"organization_id": "org_acme", "credits": 30, "cause": "ticket-7", "memo": "Ticket 7"}
REFUND_PATH = "/v1/admin/orders/ord_1/refund"
KEY = {"Idempotency-Key": "k1"}


def test_spending_goes_through_and_is_on_record(
    send: Send, rpc: FakeRpc, documented: Check, audit: Callable[[], list[tuple[Any, ...]]]
) -> None:
    answer = send("POST", "/v1/admin/credits/spends", json=SPEND, headers=KEY)
    documented("POST", "/v1/admin/credits/spends", answer)
    assert (answer.status_code, answer.json) == (201, SPENT)
    assert rpc.last("credits.spend").data == {**SPEND, "idempotency_key": "k1"}
    rpc.replies["credits.spend"] = {**SPENT, "replayed": True}
    again = send("POST", "/v1/admin/credits/spends", json=SPEND, headers=KEY)
    assert again.headers["Idempotent-Replayed"] == "true"
    rpc.replies["credits.spend"] = Refusal(Kind.CONFLICT, "insufficient_credits", "No.", extra={"balance": 3})
    refused = send("POST", "/v1/admin/credits/spends", json=SPEND, headers=KEY)
    assert (refused.status_code, refused.json["code"], refused.json["balance"]) == (409, "insufficient_credits", 3)
    assert [line[2:] for line in audit()] == [
        ("spend", "done", SPEND), ("spend", "done", SPEND), ("spend", "insufficient_credits", SPEND),
    ]  # fmt: skip


def test_a_refund_goes_through_and_is_on_record(
    send: Send, rpc: FakeRpc, documented: Check, audit: Callable[[], list[tuple[Any, ...]]]
) -> None:
    answer = send("POST", REFUND_PATH, json={"reason": "Twice"}, headers=KEY)
    documented("POST", REFUND_PATH, answer)
    assert (answer.status_code, answer.json) == (201, REFUND)
    asked = {"order_id": "ord_1", "reason": "Twice", "claimed": "refuse"}
    assert rpc.last("cart.refund_order").data == {**asked, "idempotency_key": "k1"}
    assert rpc.last("cart.refund_order").timeout_s == 20
    assert [line[2:] for line in audit()] == [("refund", "done", {**asked, "refund_id": "rfd_1", "state": "done"})]


def test_a_refund_that_is_not_known_yet_is_polled(send: Send, rpc: FakeRpc, documented: Check) -> None:
    under_way = {**REFUND, "state": "taking_back", "credits": None, "ended_at": None}
    rpc.replies["cart.refund_order"] = {"refund": under_way, "replayed": False, "status": 202}
    answer = send("POST", REFUND_PATH, json={"reason": "Twice"}, headers=KEY)
    documented("POST", REFUND_PATH, answer)
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
    rpc.replies["cart.get_refund"] = under_way
    assert send("GET", REFUND_PATH).json == under_way


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/admin/credits/spends", {**SPEND, "credits": 0}),
        ("/v1/admin/credits/spends", {**SPEND, "credits": "30"}),
        ("/v1/admin/credits/spends", {**SPEND, "balance": 100}),
        (REFUND_PATH, {}),
        (REFUND_PATH, {"reason": ""}),
        (REFUND_PATH, {"reason": "Twice", "claimed": "maybe"}),
        (REFUND_PATH, {"reason": "Twice", "amount": {"amount_minor": -1, "currency": "USD"}}),
    ],
)
def test_malformed_wishes_of_staff_are_refused(send: Send, rpc: FakeRpc, path: str, body: dict[str, Any]) -> None:
    answer = send("POST", path, json=body, headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert rpc.names() == []


def test_spends_and_refunds_need_a_key(send: Send, rpc: FakeRpc) -> None:
    for path, body in (("/v1/admin/credits/spends", SPEND), (REFUND_PATH, {"reason": "Twice"})):
        assert send("POST", path, json=body).json["code"] == "idempotency_key_required"
    assert rpc.names() == []
