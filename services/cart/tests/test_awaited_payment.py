"""Wire and check: the order that waits, what comes of it, and paying it in another way after all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cart import messages, storage
from cart.use_cases.change_payment import change_payment
from cart.use_cases.get_order import get_order
from cart.use_cases.list_orders import list_orders
from cart.use_cases.note_receipt import note_receipt
from cart.use_cases.resume_orders import resume_orders
from cart.use_cases.settle_order import UnknownOrderError, settle_orders_by_event
from chassis.messages import dump_checked, load_request
from chassis.testing import identity, make_event
from kernel.errors import Kind, Refusal

TOTAL = {"amount_minor": 12000, "currency": "USD"}


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


def now(shop: Any, order: dict[str, Any]) -> Any:
    return dump_checked(messages.OrderReply(), get_order(shop.app, shop.buyer, order["id"]))


def change(shop: Any, order: dict[str, Any], method: str = "card", key: str = "change-1", caller: Any = None) -> Any:
    payment = {"method": method, **({"provider_token": "tok"} if method == "card" else {})}
    request = {"id": order["id"], "idempotency_key": key, "payment": payment}
    reply = change_payment(shop.app, caller or shop.buyer, **load_request(messages.ChangePayment(), request))
    return dump_checked(messages.PlacedReply(), reply)


def tell(shop: Any, name: str, data: dict[str, Any], schema: Any, state: str, **more: Any) -> None:
    event = make_event(f"payments.{name}.v1", schema.load(data), **more)
    settle_orders_by_event(shop.app, [event], state)


def all_of_it_came(shop: Any, order: dict[str, Any], **more: Any) -> None:
    data = {
        "order_id": order["id"], "intent_id": "pay_1", "amount": order["totals"]["total"], "method": "wire",
        "card": None,
    }  # fmt: skip
    tell(shop, "captured", data, messages.PaymentCaptured(), "captured", **more)


def came_too_late(shop: Any, order: dict[str, Any]) -> None:
    data = {
        "order_id": order["id"], "intent_id": "pay_1",
        "decline": {"code": "payment_overdue", "message": "Order again."},
    }  # fmt: skip
    tell(shop, "failed", data, messages.PaymentFailed(), "failed")


def issued(shop: Any, order: dict[str, Any], issue: int, method: str) -> None:
    request = {"order_id": order["id"], "amount": TOTAL, "method": method}
    data = shop.bus._awaited(request, issue, 0)
    tell(shop, "instructions_issued", data, messages.InstructionsIssued(), "requires_action")


def some_came(shop: Any, order: dict[str, Any], received_minor: int, **more: Any) -> None:
    data = messages.ReceiptRecorded().load({"order_id": order["id"], "payment": {"received": usd(received_minor)}})
    note_receipt(shop.app, make_event("payments.receipt_recorded.v1", data, **more))


@pytest.mark.parametrize("method", ["wire", "check"])
def test_an_order_by_wire_waits_with_instructions_and_has_the_lines(shop_on_both: Any, method: str) -> None:
    shop = shop_on_both
    reply = shop.wire(method=method)
    assert dump_checked(messages.PlacedReply(), reply) == reply
    order = reply["order"]
    assert (reply["status"], order["state"], order["paid_at"]) == (201, "awaiting_payment", None)
    assert order["payment"] == {"method": method, "state": "requires_action", "card": None}
    assert order["instructions"] == {
        "method": method, "reference": "RF84PC2026000001", "amount": TOTAL, "received": usd(0), "remaining": TOTAL,
        "due_on": "2026-12-06", "pay_to": {"account": "DE89"},
    }  # fmt: skip
    assert order["expires_at"] == "2026-12-22T12:00:00.000Z"
    assert shop.cart()["lines"] == []
    assert shop.paid_events() == []
    assert shop.bus.requests[0]["payer"]["organization"] == "Acme"
    assert now(shop, order) == order
    assert shop.place(payment={"method": method}) == {**reply, "replayed": True}
    assert len(shop.rows(storage.ORDERS)) == 1


def test_the_money_pays_it_once_and_the_first_answer_stays(shop_on_both: Any) -> None:
    shop = shop_on_both
    placed = shop.wire()
    order = placed["order"]
    some_came(shop, order, 7000)
    some_came(shop, order, 5000)  # an older word that was overtaken
    told = now(shop, order)["instructions"]
    assert (told["received"], told["remaining"]) == (usd(7000), usd(5000))
    all_of_it_came(shop, order, event_id="evt_1")
    all_of_it_came(shop, order, event_id="evt_1")
    all_of_it_came(shop, order)
    paid = now(shop, order)
    assert (paid["state"], paid["instructions"], paid["expires_at"]) == ("paid", None, None)
    assert paid["payment"] == {"method": "wire", "state": "captured", "card": None}
    assert [event["payment"] for event in shop.paid_events()] == [{"method": "wire", "card": None}]
    assert shop.place(payment={"method": "wire"}) == {**placed, "replayed": True}


def test_what_came_into_the_cart_meanwhile_stays_there(shop: Any) -> None:
    order = shop.wire()["order"]
    shop.add_pack(3)
    all_of_it_came(shop, order)
    assert [line["quantity"] for line in shop.cart()["lines"]] == [3]


def test_money_that_did_not_come_cancels_it(shop_on_both: Any) -> None:
    shop = shop_on_both
    placed = shop.wire()
    came_too_late(shop, placed["order"])
    cancelled = now(shop, placed["order"])
    assert (cancelled["state"], cancelled["cancel_reason"]) == ("cancelled", "payment_overdue")
    assert (cancelled["instructions"], cancelled["expires_at"]) == (None, None)
    assert shop.place(payment={"method": "wire"}) == {**placed, "replayed": True}


def test_a_receipt_for_an_unknown_order_is_tried_again(shop: Any) -> None:
    with pytest.raises(UnknownOrderError):
        some_came(shop, {"id": "ord_unknown"}, 1)


def test_the_end_is_enforced_on_read(shop: Any) -> None:
    first, second = shop.wire()["order"], shop.wire("key-2")["order"]
    shop.clock.advance(days=29)
    shop.bus.calls.clear()
    assert (now(shop, first)["state"], shop.bus.calls) == ("awaiting_payment", [])
    shop.clock.advance(days=2)
    decline = {"code": "payment_overdue", "message": "Order again."}
    shop.bus.intents[first["id"]].update(state="failed", decline=decline, instructions=None)
    shop.bus.intents[second["id"]].update(state="captured", instructions=None)  # it came at the last moment
    assert now(shop, first)["cancel_reason"] == "payment_overdue"
    request = messages.ListOrders().load({})
    listed = list_orders(shop.app, shop.buyer, **request)["items"]
    assert [order["state"] for order in listed] == ["paid", "cancelled"]
    assert len(shop.paid_events()) == 1


def test_while_payments_does_not_answer_an_overdue_order_is_shown_as_it_was(shop: Any) -> None:
    order = shop.wire()["order"]
    shop.clock.advance(days=31)
    shop.bus.payments = "down"
    assert now(shop, order) == order


def test_a_method_that_is_not_open_cancels_the_order_and_leaves_the_cart(shop: Any) -> None:
    shop.add_pack()
    shop.bus.closed = {"wire"}
    refusal = shop.refused(shop.wire)
    assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "payment_method_unavailable")
    assert shop.cart()["line_count"] == 1
    assert shop.wire("key-2", "check")["status"] == 201


# --- crashes ---


@pytest.mark.parametrize("retried", [False, True], ids=["resumed", "retried"])
@pytest.mark.parametrize("crash", ["dies_before", "dies_after", "down", "lost"])
def test_a_crash_while_instructions_are_issued(shop_on_both: Any, crash: str, retried: bool) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = crash
    if crash.startswith("dies"):
        with pytest.raises(shop.Crash):
            shop.wire()
    else:
        assert (shop.wire()["status"], shop.cart()["line_count"]) == (202, 1)
    shop.bus.payments = "captured"
    shop.clock.advance(seconds=11)
    if not retried:
        resume_orders(shop.app)
    reply = shop.place(payment={"method": "wire"})
    assert (reply["status"], reply["order"]["state"], reply["replayed"]) == (201, "awaiting_payment", True)
    assert (shop.cart()["lines"], len(shop.rows(storage.ORDERS))) == ([], 1)
    assert {intent["instructions"]["issue"] for intent in shop.bus.intents.values()} == {1}


def test_the_event_says_what_the_lost_reply_said(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = "lost"
    order = shop.wire()["order"]
    issued(shop, order, 1, "wire")
    waits = now(shop, order)
    assert (waits["state"], shop.cart()["lines"]) == ("awaiting_payment", [])
    assert shop.place(payment={"method": "wire"}) == {"order": waits, "status": 201, "replayed": True}
    issued(shop, order, 1, "wire")
    assert now(shop, order) == waits


def test_money_that_comes_before_the_instructions_are_known_pays_and_clears_the_cart(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = "lost"
    order = shop.wire()["order"]
    all_of_it_came(shop, order)
    issued(shop, order, 1, "wire")
    assert (now(shop, order)["state"], shop.cart()["lines"]) == ("paid", [])


# --- in another way ---


def test_wire_becomes_check_and_back(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    changed = change(shop, order, "check", "a")
    assert (changed["status"], changed["order"]["instructions"]["method"]) == (201, "check")
    assert change(shop, order, "check", "a") == {**changed, "replayed": True}
    assert shop.refused(change, shop, order, "wire", "a").code == "idempotency_key_reused"
    assert change(shop, order, "check", "b")["order"] == changed["order"]
    issued(shop, order, 1, "wire")  # an older word that was overtaken
    assert now(shop, order)["payment"]["method"] == "check"
    issued(shop, order, 3, "wire")  # a newer one, of a change whose process died
    assert now(shop, order)["payment"]["method"] == "wire"
    all_of_it_came(shop, order)
    assert len(shop.paid_events()) == 1


def test_a_card_pays_what_was_to_be_wired(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    shop.add_pack(2)
    paid = change(shop, order)
    assert (paid["status"], paid["order"]["state"]) == (201, "paid")
    assert paid["order"]["payment"] == {
        "method": "card", "state": "captured", "card": {"brand": "visa", "last4": "4242"},
    }  # fmt: skip
    assert change(shop, order) == {**paid, "replayed": True}
    assert shop.refused(change, shop, order, key="change-2").code == "order_already_paid"
    assert (list(shop.bus.charges.values()), len(shop.paid_events())) == ([12000], 1)
    assert [line["quantity"] for line in shop.cart()["lines"]] == [2]
    (row,) = shop.rows(storage.ORDERS)
    assert row["provider_token"] is None


def test_after_a_decline_the_order_waits_as_before(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    shop.bus.payments = "failed"
    declined = shop.refused(change, shop, order)
    assert (declined.kind, declined.code, declined.extra["reason"]) == (
        Kind.PAYMENT_REFUSED, "card_declined", "insufficient_funds",
    )  # fmt: skip
    assert now(shop, order) == order
    again = shop.refused(change, shop, order)
    assert again.as_dict() == {**declined.as_dict(), "extra": {**declined.extra, "replayed": True}}
    shop.bus.payments = "captured"
    assert change(shop, order, key="change-2")["order"]["state"] == "paid"
    assert len(shop.bus.attempts) == 2


@pytest.mark.parametrize("known_to_cart", [True, False])
def test_once_some_money_has_come_no_card_is_tried(shop_on_both: Any, known_to_cart: bool) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    shop.bus.intents[order["id"]]["instructions"]["received"] = usd(5000)
    if known_to_cart:
        some_came(shop, order, 5000)
    assert shop.refused(change, shop, order).code == "partly_paid"
    assert shop.bus.attempts == []
    waits = now(shop, order)
    assert (waits["state"], waits["instructions"]["remaining"]) == ("awaiting_payment", usd(7000))
    assert change(shop, order, "check", "change-2")["order"]["instructions"]["received"] == usd(5000)


def test_money_that_came_while_the_card_was_chosen_pays(shop: Any) -> None:
    order = shop.wire()["order"]
    shop.bus.intents[order["id"]].update(state="captured", instructions=None)
    paid = change(shop, order)["order"]
    assert (paid["state"], paid["payment"]["method"], shop.bus.attempts) == ("paid", "wire", [])


@pytest.mark.parametrize("retried", [False, True], ids=["resumed", "retried"])
@pytest.mark.parametrize("crash", ["dies_before", "dies_after", "down", "lost"])
@pytest.mark.parametrize("outcome", ["captured", "failed"])
def test_a_crash_while_the_card_is_tried(shop_on_both: Any, crash: str, retried: bool, outcome: str) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    shop.bus.payments = crash
    if crash.startswith("dies"):
        with pytest.raises(shop.Crash):
            change(shop, order)
    else:
        assert change(shop, order)["status"] == 202
    assert now(shop, order)["state"] == "pending_payment"
    assert shop.refused(change, shop, order).code == "idempotency_key_in_flight"
    issued(shop, order, 1, "wire")  # an older word: the card is still being tried
    assert now(shop, order)["state"] == "pending_payment"
    shop.bus.payments = outcome
    shop.clock.advance(seconds=11)
    if not retried:
        resume_orders(shop.app)
    captured = outcome == "captured" or crash in ("dies_after", "lost")
    if captured:
        assert change(shop, order)["order"]["state"] == "paid"
    else:
        assert shop.refused(change, shop, order).code == "card_declined"
        assert now(shop, order) == order
    assert len(shop.bus.attempts) == 1
    assert len(shop.paid_events()) == len(shop.bus.charges) == int(captured)


def test_a_card_that_is_tried_does_not_keep_the_next_order_waiting(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    shop.bus.payments = "down"
    assert change(shop, order)["status"] == 202
    shop.add_pack()
    shop.bus.payments = "captured"
    assert shop.place("key-2")["status"] == 201


def test_two_tabs_change_to_a_card_at_once(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    order = shop.wire()["order"]
    barrier = threading.Barrier(8, timeout=60)

    def click(number: int) -> str:
        barrier.wait()
        try:
            return str(change(shop, order, key=f"tab-{number % 4}")["order"]["state"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(click, range(8)))
    assert "paid" in told
    assert told <= {"paid", "pending_payment", "order_already_paid", "idempotency_key_in_flight"}
    assert (list(shop.bus.charges.values()), len(shop.bus.attempts)) == ([12000], 1)
    assert len(shop.paid_events()) == 1


# --- not at all ---


def test_an_order_that_waits_is_cancelled_on_request(shop_on_both: Any) -> None:
    shop = shop_on_both
    placed = shop.wire()
    order = placed["order"]
    some_came(shop, order, 5000)
    cancelled = shop.cancel(order["id"])
    assert (cancelled["status"], cancelled["order"]["state"]) == (200, "cancelled")
    assert cancelled["order"]["cancel_reason"] == "cancelled_on_request"
    assert shop.cancel(order["id"]) == {**cancelled, "replayed": True}
    assert shop.bus.intents[order["id"]]["state"] == "voided"
    assert shop.place(payment={"method": "wire"}) == {**placed, "replayed": True}
    issued(shop, order, 2, "check")
    came_too_late(shop, order)
    assert now(shop, order) == cancelled["order"]


def test_money_that_came_first_is_told_to_who_cancels(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    shop.bus.intents[order["id"]].update(state="captured", instructions=None)
    assert shop.refused(shop.cancel, order["id"]).code == "order_already_paid"
    assert (now(shop, order)["state"], len(shop.paid_events())) == ("paid", 1)


@pytest.mark.parametrize("voids", ["down", "lost", "dies"])
def test_a_cancellation_that_payments_does_not_answer_is_resumed(shop_on_both: Any, voids: str) -> None:
    shop = shop_on_both
    placed = shop.wire()
    order = placed["order"]
    shop.add_pack()
    shop.bus.voids = voids
    if voids == "dies":
        with pytest.raises(shop.Crash):
            shop.cancel(order["id"])
    else:
        assert shop.cancel(order["id"])["status"] == 202
    issued(shop, order, 2, "check")  # a word of before: nothing is awaited any more
    assert now(shop, order)["state"] == "pending_payment"
    assert shop.refused(change, shop, order).code == "payment_under_way"
    assert shop.place("key-2")["status"] == 201  # and the next order of the cart does not wait for it
    shop.bus.voids = "voided"
    shop.clock.advance(seconds=11)
    resume_orders(shop.app)
    assert now(shop, order)["cancel_reason"] == "cancelled_on_request"
    assert shop.place(payment={"method": "wire"}) == {**placed, "replayed": True}


def test_a_card_that_is_being_tried_is_given_up_with_the_order(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    shop.bus.payments = "down"
    assert change(shop, order)["status"] == 202
    assert shop.cancel(order["id"])["order"]["state"] == "cancelled"
    assert shop.refused(change, shop, order).code == "order_cancelled"
    assert (shop.bus.attempts, shop.bus.charges) == ([], {})


def paid(shop: Any, order: dict[str, Any]) -> None:
    all_of_it_came(shop, order)


@pytest.mark.parametrize(("end", "code"), [(paid, "order_already_paid"), (came_too_late, "order_cancelled")])
@pytest.mark.parametrize("method", ["check", "card"])
def test_what_has_ended_is_not_changed(shop: Any, end: Callable[..., None], code: str, method: str) -> None:
    order = shop.wire()["order"]
    end(shop, order)
    before = now(shop, order)
    assert shop.refused(change, shop, order, method).code == code
    assert (now(shop, order), shop.bus.attempts) == (before, [])


def test_what_cannot_be_changed_to(shop: Any) -> None:
    order = shop.wire()["order"]
    assert shop.refused(change, shop, order, "quote").code == "payment_method_unavailable"
    shop.bus.closed = {"check"}
    assert shop.refused(change, shop, order, "check").code == "payment_method_unavailable"
    shop.bus.payments = "down"
    assert shop.refused(change, shop, order, "check").kind is Kind.UNAVAILABLE
    assert now(shop, order) == order


def test_others_may_not_change_it(shop: Any) -> None:
    order = shop.wire()["order"]
    stranger = identity(organization_id="org_other")
    found = shop.refused(change, shop, order, caller=stranger)
    none = shop.refused(change, shop, {"id": "ord_none"}, caller=stranger)
    assert found.as_dict() == none.as_dict()
    assert shop.refused(change, shop, order, caller=identity("viewer")).kind is Kind.FORBIDDEN
