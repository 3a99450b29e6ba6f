"""Cancelling an unpaid order: nothing is charged, or the order is paid; never neither, never both."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cart import storage
from cart.use_cases.get_order import get_order
from cart.use_cases.resume_orders import resume_orders
from cart.use_cases.settle_order import settle_orders_by_event
from chassis.testing import identity, make_event
from kernel.errors import Kind, Refusal


def pending(shop: Any, payments: str = "processing") -> str:
    """An order whose payment nobody knows the outcome of; its id."""
    shop.add_pack()
    shop.bus.payments = payments
    order_id: str = shop.place()["order"]["id"]
    return order_id


def now(shop: Any, order_id: str) -> Any:
    return get_order(shop.app, shop.buyer, order_id)


def voided(shop: Any, order_id: str) -> None:
    event = make_event("payments.voided.v1", {"order_id": order_id, "intent_id": "pay_1"})
    settle_orders_by_event(shop.app, [event], "voided")


@pytest.mark.parametrize("payments", ["processing", "down"], ids=["unanswered", "never asked"])
def test_an_unpaid_order_is_cancelled_and_the_cart_is_as_it_was(shop_on_both: Any, payments: str) -> None:
    shop = shop_on_both
    order_id = pending(shop, payments)
    cart = shop.cart()

    reply = shop.cancel(order_id)

    assert (reply["status"], reply["replayed"]) == (200, False)
    assert (reply["order"]["state"], reply["order"]["cancel_reason"]) == ("cancelled", "cancelled_on_request")
    assert now(shop, order_id) == reply["order"]
    assert shop.cart() == cart
    assert shop.cancel(order_id) == {**reply, "replayed": True}
    assert shop.cancel(order_id, "cancel-2") == reply
    refusal = shop.refused(shop.place)
    assert (refusal.kind, refusal.code, refusal.extra["replayed"]) == (Kind.CONFLICT, "order_cancelled", True)
    shop.bus.payments = "captured"
    shop.clock.advance(days=1)
    resume_orders(shop.app)
    assert (shop.bus.charges, shop.paid_events()) == ({}, [])
    assert shop.place("key-2")["order"]["state"] == "paid", "the cart may be ordered again"


def test_a_paid_order_stays_paid(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    order = shop.place()["order"]
    for replayed in (None, True):
        refusal = shop.refused(shop.cancel, order["id"])
        assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "order_already_paid")
        assert refusal.extra.get("replayed") is replayed
    assert "payments.void" not in shop.bus.calls
    assert now(shop, order["id"])["state"] == "paid"


def test_charged_but_not_answered_goes_on_to_paid(shop_on_both: Any) -> None:
    shop = shop_on_both
    order_id = pending(shop, "lost")

    refusal = shop.refused(shop.cancel, order_id)

    assert refusal.code == "order_already_paid"
    assert now(shop, order_id)["state"] == "paid"
    assert len(shop.paid_events()) == 1
    assert shop.place()["order"]["state"] == "paid"


def test_a_declined_order_is_cancelled_already(shop: Any) -> None:
    shop.add_pack()
    shop.bus.payments = "failed"
    shop.refused(shop.place)
    [order] = shop.rows(storage.ORDERS)
    reply = shop.cancel(order["id"])
    assert (reply["status"], reply["order"]["cancel_reason"]) == (200, "insufficient_funds")


def test_while_the_provider_is_silent_it_is_not_known_and_never_charged(shop_on_both: Any) -> None:
    shop = shop_on_both
    order_id = pending(shop)
    shop.bus.voids = "silent"
    reply = shop.cancel(order_id)
    assert (reply["status"], reply["order"]["state"]) == (202, "pending_payment")
    assert shop.refused(shop.cancel, order_id).code == "idempotency_key_in_flight"
    asked = shop.bus.calls.count("payments.collect")
    shop.bus.payments = "captured"
    shop.clock.advance(seconds=60)
    resume_orders(shop.app)
    assert now(shop, order_id)["state"] == "pending_payment"
    shop.bus.voids = "does"
    shop.clock.advance(seconds=60)

    resume_orders(shop.app)

    assert now(shop, order_id)["state"] == "cancelled"
    assert shop.bus.calls.count("payments.collect") == asked
    assert shop.bus.charges == {}
    again = shop.cancel(order_id)
    assert (again["status"], again["replayed"], again["order"]["state"]) == (200, True, "cancelled")


@pytest.mark.parametrize("voids", ["dies", "down", "lost"])
def test_whatever_dies_the_retry_finishes_it(shop_on_both: Any, voids: str) -> None:
    shop = shop_on_both
    order_id = pending(shop, "down")
    shop.bus.voids = voids
    if voids == "dies":
        with pytest.raises(shop.Crash):
            shop.cancel(order_id)
    else:
        assert shop.cancel(order_id)["status"] == 202
    shop.bus.voids, shop.bus.payments = "does", "captured"
    assert shop.refused(shop.cancel, order_id).code == "idempotency_key_in_flight"
    shop.clock.advance(seconds=60)

    reply = shop.cancel(order_id)

    assert (reply["status"], reply["replayed"], reply["order"]["state"]) == (200, True, "cancelled")
    assert shop.cancel(order_id) == reply
    assert shop.bus.charges == {}


def test_a_crash_before_payments_is_asked_is_resumed_without_the_client(shop_on_both: Any) -> None:
    shop = shop_on_both
    order_id = pending(shop, "down")
    shop.bus.voids = "dies"
    with pytest.raises(shop.Crash):
        shop.cancel(order_id)
    shop.bus.voids, shop.bus.payments = "does", "captured"
    shop.clock.advance(seconds=60)

    resume_orders(shop.app)

    assert now(shop, order_id)["state"] == "cancelled"
    assert "payments.get_intent" not in shop.bus.calls
    assert shop.bus.charges == {}


def test_the_event_alone_cancels_and_comes_twice_in_vain(shop_on_both: Any) -> None:
    shop = shop_on_both
    order_id = pending(shop)
    voided(shop, order_id)
    voided(shop, order_id)
    assert now(shop, order_id)["cancel_reason"] == "cancelled_on_request"
    assert shop.refused(shop.place).code == "order_cancelled"


def test_the_void_overtakes_the_charge_of_a_checkout_under_way(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    cancelled: list[Any] = []

    def overtake(method: str) -> None:
        if method == "collect" and not cancelled:
            cancelled.append(None)
            cancelled[0] = shop.cancel(shop.rows(storage.ORDERS)[0]["id"])

    shop.bus.before = overtake
    refusal = shop.refused(shop.place)
    assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "order_cancelled")
    assert cancelled[0]["order"]["state"] == "cancelled"
    assert shop.bus.charges == {}


def test_another_organisations_order_is_not_found_and_a_viewer_may_not(shop: Any) -> None:
    order_id = pending(shop)
    for order, caller in ((order_id, identity(organization_id="org_bolt")), ("ord_nobody", shop.buyer)):
        refusal = shop.refused(shop.cancel, order, caller=caller)
        assert (refusal.code, refusal.detail) == ("not_found", "There is no such order.")
    assert shop.refused(shop.cancel, order_id, caller=identity("viewer")).code == "forbidden"
    assert now(shop, order_id)["state"] == "pending_payment"


def test_one_key_for_two_orders_or_for_another_request_is_refused(shop: Any) -> None:
    first = pending(shop)
    shop.cancel(first)
    shop.bus.payments = "processing"
    second = shop.place("key-2")["order"]["id"]
    assert shop.refused(shop.cancel, second).code == "idempotency_key_reused"
    assert shop.refused(shop.cancel, second, "key-2").code == "idempotency_key_reused"
    assert now(shop, second)["state"] == "pending_payment"


def test_an_order_with_a_problem_is_left_to_a_person(shop: Any) -> None:
    order_id = pending(shop)
    with shop.database.transaction() as transaction:
        storage.flag_order(transaction, order_id, "captured_amount_differs")
    assert shop.refused(shop.cancel, order_id).code == "order_needs_a_person"
    assert "payments.void" not in shop.bus.calls


@pytest.mark.parametrize("payments", ["processing", "captured"])
def test_many_cancels_and_checkouts_at_once_are_one_outcome(shop_on_both: Any, payments: str) -> None:
    shop = shop_on_both
    order_id = pending(shop, "down")
    shop.bus.payments = payments
    shop.clock.advance(seconds=60)

    def ask(number: int) -> str:
        call: Callable[[], Any] = shop.place if number % 3 == 0 else lambda: shop.cancel(order_id, f"c-{number % 3}")
        try:
            return str(call()["order"]["state"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(24) as pool:
        answers = set(pool.map(ask, range(48)))

    state = now(shop, order_id)["state"]
    assert state in ("cancelled", "paid")
    assert sum(shop.bus.charges.values()) == (12000 if state == "paid" else 0)
    impossible = {"cancelled", "order_cancelled"} if state == "paid" else {"paid", "order_already_paid"}
    assert not answers & impossible
    assert len(shop.paid_events()) == (1 if state == "paid" else 0)
