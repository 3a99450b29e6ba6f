"""Refunds: credits take their side first, then the money goes back, once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cart import messages, storage
from cart.use_cases.get_order import get_order
from cart.use_cases.get_refund import get_refund
from cart.use_cases.hand_over_lines import hand_over_lines
from cart.use_cases.order_facts import order_facts
from cart.use_cases.refund_order import refund_order
from cart.use_cases.resume_refunds import resume_refunds
from cart.use_cases.settle_refund import FAILED, SUCCEEDED, UnknownRefundError, end_refund_by_event
from chassis.messages import dump_checked
from chassis.testing import emitted, identity, make_event
from kernel.errors import Refusal

FINANCE = identity("finance", user_id="usr_fay", organization_id="org_punchcard", organization="Punchcard")


def fulfilled(shop: Any) -> dict[str, Any]:
    """An order of one pack on a card, with everything handed over."""
    shop.add_pack()
    order: dict[str, Any] = shop.place()["order"]
    data = {"order_id": order["id"], "line_ids": [line["id"] for line in order["lines"]]}
    hand_over_lines(shop.app, [make_event("credits.order_credited.v1", data)], "awaits_credits")
    return order


def ask(shop: Any, order: dict[str, Any], key: str = "refund-1", **changes: Any) -> Any:
    request = {"reason": "Bought twice", "claimed": "refuse", **changes}
    caller = request.pop("caller", FINANCE)
    reply = refund_order(shop.app, caller, idempotency_key=key, order_id=order["id"], **request)
    return dump_checked(messages.RefundedReply(), reply)


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def state_of(shop: Any, order: dict[str, Any]) -> tuple[str, str]:
    """Of the order, and of its refund."""
    seen = get_order(shop.app, shop.buyer, order["id"])
    return seen["state"], get_refund(shop.app, FINANCE, order["id"])["state"]


def refunded_events(shop: Any) -> list[dict[str, Any]]:
    return [data for name, data in emitted(shop.database) if name == "cart.order_refunded.v1"]


def test_a_refund_takes_the_credits_back_and_gives_the_money_back(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = fulfilled(shop)
    shop.bus.calls.clear()
    reply = ask(shop, order)
    assert shop.bus.calls == ["credits.take_back_order", "payments.refund"]
    refund = reply["refund"]
    assert (reply["status"], reply["replayed"]) == (201, False)
    assert refund == {
        "id": refund["id"], "order_id": order["id"], "state": "done", "amount": order["totals"]["total"],
        "reason": "Bought twice", "claimed": "refuse", "requested_by": "usr_fay",
        "credits": {"taken_back": 120, "claimed": 0, "spent": 0, "expired": 0},
        "requested_at": "2026-11-22T12:00:00.000Z", "ended_at": "2026-11-22T12:00:00.000Z", "failure_code": None,
        "lines": None, "money_only": False, "left": {"amount_minor": 0, "currency": "USD"}, "approved_by": None,
    }  # fmt: skip
    seen = get_order(shop.app, shop.buyer, order["id"])
    assert (seen["state"], seen["payment"]["state"]) == ("refunded", "refunded")
    assert get_refund(shop.app, FINANCE, order["id"]) == refund
    [said] = refunded_events(shop)
    assert (said["refund_id"], said["amount"], said["credits"]["taken_back"]) == (
        refund["id"], order["totals"]["total"], 120,
    )  # fmt: skip
    assert "Bought twice" not in str(said)


def test_the_same_key_gives_the_same_answer(shop: Any) -> None:
    order = fulfilled(shop)
    first = ask(shop, order)
    shop.bus.calls.clear()
    assert ask(shop, order) == {**first, "replayed": True}
    assert shop.bus.calls == []
    assert code_of(lambda: ask(shop, order, reason="Another")) == "idempotency_key_reused"
    assert code_of(lambda: ask(shop, order, "refund-2")) == "order_refunded"
    assert len(refunded_events(shop)) == 1


def test_credits_in_use_need_a_decision_and_change_nothing_without_one(shop: Any) -> None:
    order = fulfilled(shop)
    shop.bus.in_use = 120
    with pytest.raises(Refusal, match="credits_in_use") as refused:
        ask(shop, order)
    assert refused.value.extra["claimed"] == 120
    assert (shop.bus.taken_back, shop.bus.given_back) == ({}, {})
    assert state_of(shop, order) == ("fulfilled", "refused")
    with pytest.raises(Refusal, match="credits_in_use") as refused:
        ask(shop, order)
    assert refused.value.extra["replayed"] is True
    reply = ask(shop, order, "refund-2", claimed="refund_anyway")
    assert reply["refund"]["credits"] == {"taken_back": 0, "claimed": 120, "spent": 0, "expired": 0}
    assert state_of(shop, order) == ("refunded", "done")


def test_what_cannot_be_refunded(shop: Any) -> None:
    shop.add_pack()
    order = shop.place()["order"]
    assert code_of(lambda: ask(shop, order)) == "order_not_handed_over"
    assert code_of(lambda: ask(shop, {"id": "ord_none"})) == "not_found"
    with shop.database.transaction() as transaction:
        storage.flag_order(transaction, order["id"], "captured_amount_differs")
    assert code_of(lambda: ask(shop, order)) == "order_has_problem"
    shop.add_pack()
    shop.bus.payments = "failed"
    with pytest.raises(Refusal) as declined:
        shop.place("key-2")
    assert code_of(lambda: ask(shop, {"id": declined.value.extra["order_id"]})) == "order_not_paid"
    assert shop.bus.taken_back == {}


@pytest.mark.parametrize("role", ["viewer", "buyer", "admin", "support"])
def test_only_finance_refunds(shop: Any, role: str) -> None:
    order = fulfilled(shop)
    assert code_of(lambda: ask(shop, order, caller=identity(role))) == "forbidden"
    customer = role in ("viewer", "buyer", "admin")
    assert code_of(lambda: get_refund(shop.app, identity(role), order["id"])) == (
        "forbidden" if customer else "not_found"
    )


@pytest.mark.parametrize("silent", ["credits", "refunds"])
def test_who_does_not_answer_is_asked_again(shop_on_both: Any, silent: str) -> None:
    shop = shop_on_both
    order = fulfilled(shop)
    setattr(shop.bus, silent, "down")
    assert ask(shop, order)["status"] == 202
    assert code_of(lambda: ask(shop, order)) == "idempotency_key_in_flight"
    assert code_of(lambda: ask(shop, order, "refund-2")) == "refund_in_progress"
    resume_refunds(shop.app)  # the lease has not run out
    shop.clock.advance(seconds=10)
    resume_refunds(shop.app)
    assert state_of(shop, order) == ("fulfilled", "taking_back" if silent == "credits" else "returning_money")
    setattr(shop.bus, silent, "taken" if silent == "credits" else "succeeded")
    shop.clock.advance(seconds=30)
    resume_refunds(shop.app)
    assert state_of(shop, order) == ("refunded", "done")
    assert ask(shop, order)["replayed"] is True
    assert (len(shop.bus.taken_back), len(shop.bus.given_back), len(refunded_events(shop))) == (1, 1, 1)


@pytest.mark.parametrize("where", ["credits", "refunds"])
@pytest.mark.parametrize("by_key", [True, False])
def test_a_process_that_dies_in_the_middle_is_succeeded(shop: Any, where: str, by_key: bool) -> None:
    order = fulfilled(shop)
    setattr(shop.bus, where, "dies_after")
    with pytest.raises(shop.Crash):
        ask(shop, order)
    setattr(shop.bus, where, "taken" if where == "credits" else "succeeded")
    shop.clock.advance(seconds=30)
    if by_key:
        assert ask(shop, order)["refund"]["state"] == "done"
    else:
        resume_refunds(shop.app)
    assert state_of(shop, order) == ("refunded", "done")
    assert (len(shop.bus.taken_back), len(shop.bus.given_back), len(refunded_events(shop))) == (1, 1, 1)


def by_event(shop: Any, refund_id: str, outcome: tuple[str, str | None], **more: Any) -> None:
    event = make_event("payments.refunded.v1", {"refund_id": refund_id, "failure_code": outcome[1]}, **more)
    end_refund_by_event(shop.app, event, outcome)


def test_an_answer_that_was_lost_comes_by_the_event(shop: Any) -> None:
    order = fulfilled(shop)
    shop.bus.refunds = "lost"
    refund_id = ask(shop, order)["refund"]["id"]
    for _ in range(2):
        by_event(shop, refund_id, (SUCCEEDED, None), event_id="evt_1")
    by_event(shop, refund_id, (SUCCEEDED, None))
    assert state_of(shop, order) == ("refunded", "done")
    assert ask(shop, order)["refund"]["state"] == "done"
    assert len(refunded_events(shop)) == 1


def test_an_event_about_a_refund_that_is_not_that_far_is_tried_again(shop: Any) -> None:
    order = fulfilled(shop)
    with pytest.raises(UnknownRefundError):
        by_event(shop, "rfd_none", (SUCCEEDED, None))
    shop.bus.credits = "down"
    refund_id = ask(shop, order)["refund"]["id"]
    with pytest.raises(UnknownRefundError):
        by_event(shop, refund_id, (SUCCEEDED, None))
    assert state_of(shop, order) == ("fulfilled", "taking_back")


def test_what_the_provider_refuses_is_left_to_a_person(shop: Any) -> None:
    order = fulfilled(shop)
    shop.bus.refunds = "failed"
    with pytest.raises(Refusal, match="refund_failed") as refused:
        ask(shop, order)
    assert refused.value.extra["reason"] == "charge_disputed"
    by_event(shop, refused.value.extra["refund_id"], (FAILED, "charge_disputed"))
    assert state_of(shop, order) == ("fulfilled", "failed")
    [fact] = order_facts(shop.app, FINANCE, limit=10, cursor=None)["items"]
    assert (fact["problem"], fact["refund"]["state"]) == ("refund_failed", "failed")
    assert code_of(lambda: ask(shop, order, "refund-2")) == "order_has_problem"
    assert refunded_events(shop) == []


def test_two_clerks_at_once_refund_once(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = fulfilled(shop)

    def attempt(number: int) -> str:
        try:
            return str(ask(shop, order, f"refund-{number}")["status"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(8) as threads:
        outcomes = sorted(threads.map(attempt, range(8)))
    assert outcomes[0] == "201"
    assert set(outcomes[1:]) <= {"refund_in_progress", "order_refunded"}
    assert (len(shop.bus.taken_back), len(shop.bus.given_back), len(refunded_events(shop))) == (1, 1, 1)


def test_those_who_reconcile_are_told(shop: Any) -> None:
    order = fulfilled(shop)
    [fact] = order_facts(shop.app, FINANCE, limit=10, cursor=None)["items"]
    assert fact["refund"] is None
    refund = ask(shop, order)["refund"]
    page = dump_checked(messages.OrderFacts(), order_facts(shop.app, FINANCE, limit=10, cursor=None))
    assert page["items"][0]["refund"] == {
        "refund_id": refund["id"], "state": "done", "amount": order["totals"]["total"], "taken_back": 120,
    }  # fmt: skip
