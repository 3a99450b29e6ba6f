"""From placed to fulfilled: events in any order and number, crashes anywhere, resumption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cart import storage
from cart.domain.order import PaymentProblem
from cart.use_cases import place_order
from cart.use_cases.get_order import get_order
from cart.use_cases.hand_over_lines import hand_over_lines
from cart.use_cases.resume_orders import resume_orders
from cart.use_cases.settle_order import UnknownOrderError, settle_orders_by_event
from chassis.messages import Event
from chassis.testing import identity, make_event
from kernel.errors import Kind, Refusal

CARD = {"brand": "visa", "last4": "4242"}


def captured(shop: Any, order_id: str, amount_minor: int = 12000, **more: Any) -> Event:
    amount = {"amount_minor": amount_minor, "currency": "USD"}
    data = {"order_id": order_id, "intent_id": "pay_1", "amount": amount, "card": CARD}
    event = make_event("payments.captured.v1", data, **more)
    settle_orders_by_event(shop.app, [event], "captured")
    return event


def failed(shop: Any, order_id: str) -> None:
    data = {"order_id": order_id, "intent_id": "pay_1", "decline": {"code": "expired_card", "message": "It expired."}}
    event = make_event("payments.failed.v1", data)
    settle_orders_by_event(shop.app, [event], "failed")


def handed_over(shop: Any, order: dict[str, Any], awaited: str, *positions: int, **more: Any) -> None:
    line_ids = [order["lines"][position]["id"] for position in positions]
    data = {"order_id": order["id"], "line_ids": line_ids}
    hand_over_lines(shop.app, [make_event("credits.order_credited.v1", data, **more)], awaited)


def now(shop: Any, order: dict[str, Any]) -> Any:
    return get_order(shop.app, shop.buyer, order["id"])


def pending(shop: Any) -> dict[str, Any]:
    """An order of one pack that payments has not answered for."""
    shop.add_pack()
    shop.bus.payments = "down"
    order: dict[str, Any] = shop.place()["order"]
    return order


def test_the_last_line_handed_over_fulfils_the_order(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.add("CONTRACT", deployment_id="dep_one", credit_destination="organization")
    shop.add("BOX")
    order = shop.place()["order"]
    assert [line["fulfilment"] for line in order["lines"]] == ["pending", "pending", "fulfilled"]
    handed_over(shop, order, "awaits_credits", 0, 1)
    seen = now(shop, order)
    assert (seen["state"], [line["fulfilment"] for line in seen["lines"]]) == (
        "paid", ["fulfilled", "pending", "fulfilled"],
    )  # fmt: skip
    shop.clock.advance(seconds=1)
    handed_over(shop, order, "awaits_binding", 1)
    seen = now(shop, order)
    assert (seen["state"], seen["fulfilled_at"]) == ("fulfilled", "2026-11-22T12:00:01.000Z")
    handed_over(shop, order, "awaits_credits", 0, 1)
    assert now(shop, order) == seen
    assert shop.place() == {"order": order, "status": 201, "replayed": True}


def test_handed_over_before_the_payment_is_known_is_not_lost(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = pending(shop)
    handed_over(shop, order, "awaits_credits", 0)
    seen = now(shop, order)
    assert (seen["state"], seen["lines"][0]["fulfilment"]) == ("pending_payment", "pending")
    captured(shop, order["id"])
    assert now(shop, order)["state"] == "fulfilled"
    assert len(shop.paid_events()) == 1


def test_a_timeout_then_the_captured_event(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = pending(shop)
    event = captured(shop, order["id"])
    captured(shop, order["id"], event_id=event.id)
    captured(shop, order["id"])
    seen = now(shop, order)
    assert (seen["state"], seen["payment"]["card"]) == ("paid", CARD)
    assert len(shop.paid_events()) == 1
    assert shop.cart()["lines"] == []
    reply = shop.place()
    assert (reply["status"], reply["replayed"], reply["order"]) == (201, True, seen)


def test_the_event_overtakes_the_reply(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()

    def overtake(method: str) -> None:
        if method == "collect":
            captured(shop, shop.rows(storage.ORDERS)[0]["id"])

    shop.bus.before = overtake
    reply = shop.place()
    assert (reply["status"], reply["order"]["state"], reply["replayed"]) == (201, "paid", False)
    assert len(shop.paid_events()) == 1


def test_the_event_after_the_reply_changes_nothing(shop: Any) -> None:
    shop.add_pack()
    order = shop.place()["order"]
    captured(shop, order["id"])
    assert now(shop, order) == order
    assert len(shop.paid_events()) == 1


def test_a_timeout_then_the_failed_event(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = pending(shop)
    failed(shop, order["id"])
    failed(shop, order["id"])
    seen = now(shop, order)
    assert (seen["state"], seen["cancel_reason"], shop.cart()["line_count"]) == ("cancelled", "expired_card", 1)
    refusal = shop.refused(shop.place)
    assert (refusal.kind, refusal.detail, refusal.extra["replayed"]) == (Kind.PAYMENT_REFUSED, "It expired.", True)
    assert shop.paid_events() == []


def test_an_amount_that_differs_is_flagged_and_parked_and_pays_nothing(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = pending(shop)
    for _ in range(2):  # as often as the chassis tries
        with pytest.raises(PaymentProblem, match="captured_amount_differs"):
            captured(shop, order["id"], 11999)
    assert shop.paid_events() == []
    (row,) = shop.rows(storage.ORDERS)
    assert (row["state"], row["problem"]) == ("pending_payment", "captured_amount_differs")
    shop.clock.advance(seconds=1000)
    shop.bus.calls.clear()
    resume_orders(shop.app)
    assert shop.bus.calls == []


def test_captured_after_cancel_is_flagged_and_parked(shop: Any) -> None:
    order = pending(shop)
    failed(shop, order["id"])
    with pytest.raises(PaymentProblem, match="captured_after_cancel"):
        captured(shop, order["id"])
    assert (now(shop, order)["state"], shop.rows(storage.ORDERS)[0]["problem"]) == (
        "cancelled", "captured_after_cancel",
    )  # fmt: skip


def test_an_event_of_an_unknown_order_is_tried_again(shop: Any) -> None:
    with pytest.raises(UnknownOrderError):
        captured(shop, "ord_unknown")
    with pytest.raises(UnknownOrderError):
        handed_over(shop, {"id": "ord_unknown", "lines": [{"id": "oln"}]}, "awaits_credits", 0)
    assert shop.rows(storage.METADATA.tables["inbox"]) == []


# --- crashes and resumption ---


def dies_while_checking(shop: Any, patch: pytest.MonkeyPatch) -> None:
    def die(_method: str) -> None:
        shop.bus.before = lambda _method: None
        raise shop.Crash

    shop.bus.before = die


def dies_inside_transaction_1(shop: Any, patch: pytest.MonkeyPatch) -> None:
    dies_once(shop, patch, storage, "insert_order")


def dies_before_the_charge(shop: Any, patch: pytest.MonkeyPatch) -> None:
    shop.bus.payments = "dies_before"


def dies_after_the_charge(shop: Any, patch: pytest.MonkeyPatch) -> None:
    shop.bus.payments = "dies_after"


def dies_inside_transaction_2(shop: Any, patch: pytest.MonkeyPatch) -> None:
    dies_once(shop, patch, storage, "bump_version")


def dies_after_transaction_2(shop: Any, patch: pytest.MonkeyPatch) -> None:
    dies_once(shop, patch, place_order, "settle_order")


def dies_once(shop: Any, patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    real = getattr(module, name)

    def die(*arguments: Any, **more: Any) -> None:
        patch.setattr(module, name, real)
        real(*arguments, **more)
        raise shop.Crash

    patch.setattr(module, name, die)


CRASHES = [
    dies_while_checking, dies_inside_transaction_1, dies_before_the_charge, dies_after_the_charge,
    dies_inside_transaction_2, dies_after_transaction_2,
]  # fmt: skip


@pytest.mark.parametrize("crash", CRASHES)
@pytest.mark.parametrize("retried", [False, True], ids=["resumed", "retried"])
def test_a_crash_anywhere(
    shop_on_both: Any, crash: Callable[..., None], retried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the process manager or the client's retry comes first: one order, one charge, one paid event."""
    shop = shop_on_both
    shop.add_pack()
    crash(shop, monkeypatch)
    with pytest.raises(shop.Crash):
        shop.place()
    shop.bus.payments = "captured"
    shop.clock.advance(seconds=11)
    if not retried:
        resume_orders(shop.app)
        resume_orders(shop.app)
    reply = shop.place()
    resume_orders(shop.app)
    assert (reply["status"], reply["order"]["state"]) == (201, "paid")
    assert list(shop.bus.charges.values()) == [12000]
    assert [event["order_id"] for event in shop.paid_events()] == [reply["order"]["id"]]
    assert len(shop.rows(storage.ORDERS)) == 1
    assert shop.cart()["lines"] == []
    assert shop.place() == {**reply, "replayed": True}


def test_an_order_is_left_alone_until_its_lease_runs_out(shop: Any) -> None:
    pending(shop)
    shop.bus.calls.clear()
    resume_orders(shop.app)
    assert shop.bus.calls == []
    shop.clock.advance(seconds=10)
    resume_orders(shop.app)
    assert shop.bus.calls == ["payments.get_intent"]
    shop.clock.advance(seconds=19)
    resume_orders(shop.app)
    assert len(shop.bus.calls) == 1
    shop.clock.advance(seconds=1)
    resume_orders(shop.app)
    assert len(shop.bus.calls) == 2


def test_a_clock_of_payments_that_is_wrong_signs_no_customer_out(shop: Any) -> None:
    pending(shop)
    shop.clock.advance(seconds=10)
    shop.bus.payments = "ahead"
    with pytest.raises(Refusal) as caught:
        shop.place()
    assert caught.value.kind is Kind.UNAVAILABLE


def test_a_lease_from_a_clock_that_was_ahead_holds_nobody(shop: Any) -> None:
    shop.clock.advance(hours=1)
    pending(shop)
    shop.clock.advance(hours=-1)
    shop.bus.calls.clear()
    resume_orders(shop.app)
    assert shop.bus.calls == ["payments.get_intent"]


def test_payments_that_do_not_answer_are_not_asked_about_the_others(shop: Any) -> None:
    for number in range(3):
        caller = identity(user_id=f"usr_{number}")
        shop.add_pack(caller=caller)
        shop.bus.payments = "down"
        shop.place(f"key-{number}", caller=caller)
    shop.clock.advance(seconds=10)
    shop.bus.calls.clear()
    resume_orders(shop.app)
    assert shop.bus.calls == ["payments.get_intent"]
    shop.bus.payments = "captured"
    shop.clock.advance(seconds=30)
    resume_orders(shop.app)
    assert len(shop.paid_events()) == 3


def test_a_decline_found_at_resumption_is_the_answer(shop: Any) -> None:
    order = pending(shop)
    shop.bus.payments = "failed"
    shop.clock.advance(seconds=10)
    resume_orders(shop.app)
    assert now(shop, order)["state"] == "cancelled"
    assert shop.refused(shop.place).code == "card_declined"


def test_an_intent_that_is_still_processing_is_not_collected_again(shop: Any) -> None:
    shop.add_pack()
    shop.bus.payments = "processing"
    order = shop.place()["order"]
    shop.bus.calls.clear()
    shop.clock.advance(seconds=10)
    resume_orders(shop.app)
    assert shop.bus.calls == ["payments.get_intent"]
    assert now(shop, order)["state"] == "pending_payment"


def test_the_database_gone_after_the_charge_is_unavailable_and_safe_to_retry(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add_pack()
    real = shop.database.transaction

    def gone() -> Any:
        raise Refusal(Kind.UNAVAILABLE, "unavailable", "gone")

    def lose_database(method: str) -> None:
        if method == "collect":
            monkeypatch.setattr(shop.database, "transaction", gone)

    shop.bus.before = lose_database
    assert shop.refused(shop.place).kind is Kind.UNAVAILABLE
    monkeypatch.setattr(shop.database, "transaction", real)
    shop.clock.advance(seconds=11)
    assert shop.place()["status"] == 201
    assert list(shop.bus.charges.values()) == [12000]
