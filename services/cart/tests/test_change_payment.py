"""A card under way: its payer confirms it, or another way to pay takes its place: one payment."""

from __future__ import annotations

from typing import Any

import pytest

from cart import messages, storage
from cart.use_cases.change_payment import change_payment
from cart.use_cases.get_order import get_order
from cart.use_cases.resume_orders import resume_orders
from chassis.messages import dump_checked, load_request
from chassis.persistence.tables import AUDIT_ENTRY
from chassis.testing import identity


def change(shop: Any, order: dict[str, Any], method: str = "card", key: str = "change-1", **payment: Any) -> Any:
    if method == "card":
        payment = {"provider_token": "tok_other", **payment}
    request = {"id": order["id"], "idempotency_key": key, "payment": {"method": method, **payment}}
    reply = change_payment(shop.app, shop.buyer, **load_request(messages.ChangePayment(), request))
    return dump_checked(messages.PlacedReply(), reply)


def resume(shop: Any, order: dict[str, Any], key: str = "resume-1") -> Any:
    return change(shop, order, key=key, provider_token=None)


def now(shop: Any, order: dict[str, Any]) -> Any:
    return dump_checked(messages.OrderReply(), get_order(shop.app, shop.buyer, order["id"]))


def placed_with_3ds(shop: Any) -> dict[str, Any]:
    shop.add_pack()
    shop.bus.payments = "3ds"
    reply = shop.place()
    assert (reply["status"], reply["order"]["state"]) == (202, "pending_payment")
    order: dict[str, Any] = reply["order"]
    return order


def decided(shop: Any, order: dict[str, Any], state: str) -> None:
    """The payer has confirmed the payment, or refused to."""
    shop.bus.payments = state
    intent = shop.bus._intent(order["id"], 12000)
    shop.bus.intents[order["id"]] = intent


def test_an_order_whose_payer_must_confirm_says_where(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = placed_with_3ds(shop)
    assert (order["next_action"], order["payment"]["state"]) == (shop.bus.next_action, "requires_action")
    assert now(shop, order) == order
    assert shop.refused(shop.place).code == "idempotency_key_in_flight"
    shop.clock.advance(seconds=11)
    resume_orders(shop.app)
    assert now(shop, order) == order
    decided(shop, order, "captured")
    shop.clock.advance(seconds=30)
    resume_orders(shop.app)
    paid = now(shop, order)
    assert (paid["state"], paid["next_action"], paid["payment"]["state"]) == ("paid", None, "captured")
    assert shop.place()["order"] == paid
    assert shop.cart()["lines"] == []


def test_who_has_confirmed_need_not_wait_for_the_sweep(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = placed_with_3ds(shop)
    waits = resume(shop, order)
    assert (waits["status"], waits["order"], waits["replayed"]) == (202, order, False)
    decided(shop, order, "captured")
    paid = resume(shop, order)
    assert (paid["status"], paid["order"]["state"]) == (201, "paid")
    assert resume(shop, order) == {**paid, "replayed": True}
    assert resume(shop, order, "resume-2")["order"]["state"] == "paid", "the webhook may have been faster"
    assert len(shop.paid_events()) == 1


@pytest.mark.parametrize("again", [True, False])
def test_who_has_refused_is_declined_and_the_cart_survives(shop: Any, again: bool) -> None:
    order = placed_with_3ds(shop)
    decided(shop, order, "failed")
    assert shop.refused(resume, shop, order).code == "card_declined"
    assert shop.refused(resume, shop, order).extra["replayed"] is True
    assert shop.refused(resume, shop, order, "resume-2").code == "order_cancelled"
    assert len(shop.cart()["lines"]) == 1
    shop.bus.payments = "captured" if again else "failed"
    if again:
        assert shop.place("key-2")["order"]["state"] == "paid"
        assert list(shop.bus.charges.values()) == [12000]
    else:
        assert shop.refused(shop.place, "key-2").code == "card_declined"
    assert len(shop.cart()["lines"]) == int(not again)


def test_another_card_takes_its_place(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = placed_with_3ds(shop)
    shop.bus.payments = "captured"
    paid = change(shop, order)
    assert (paid["status"], paid["order"]["state"]) == (201, "paid")
    assert change(shop, order) == {**paid, "replayed": True}
    asked = shop.bus.requests[-1]
    assert (asked["round"], asked["provider_token"]) == (1, "tok_other")
    assert (list(shop.bus.charges.values()), len(shop.paid_events())) == ([12000], 1)
    assert shop.place() == {"order": order, "status": 202, "replayed": True}
    assert shop.refused(change, shop, order, key="change-2").code == "order_already_paid"
    entries = [row["action"] for row in shop.rows(AUDIT_ENTRY)]
    assert entries.count("order.payment_changed") == 1


@pytest.mark.parametrize("method", ["wire", "check"])
def test_a_wire_or_a_check_takes_its_place(shop_on_both: Any, method: str) -> None:
    shop = shop_on_both
    order = placed_with_3ds(shop)
    changed = change(shop, order, method)
    waits = changed["order"]
    assert (changed["status"], waits["state"], waits["payment"]["method"]) == (201, "awaiting_payment", method)
    assert (waits["next_action"], waits["instructions"]["method"]) == (None, method)
    assert shop.cart()["lines"] == []
    assert change(shop, order, method) == {**changed, "replayed": True}
    shop.bus.payments = "captured"
    assert change(shop, order, key="change-2")["order"]["state"] == "paid"
    assert list(shop.bus.charges.values()) == [12000]


def test_a_wire_that_took_the_place_of_a_card_gives_way_to_a_check_and_back(shop_on_both: Any) -> None:
    """No card is given up any more: the instructions are replaced, as of an order that was never to be paid by card."""
    shop = shop_on_both
    order = placed_with_3ds(shop)
    for number, method in enumerate(("wire", "check", "wire"), 1):
        changed = change(shop, order, method, key=f"change-{number}")
        assert (changed["status"], changed["order"]["state"]) == (201, "awaiting_payment")
        assert now(shop, order)["instructions"]["method"] == method


def test_a_method_that_is_not_open_changes_nothing(shop: Any) -> None:
    order = placed_with_3ds(shop)
    shop.bus.closed.add("check")
    assert shop.refused(change, shop, order, "check").code == "payment_method_unavailable"
    assert now(shop, order) == order
    assert change(shop, order, "wire")["order"]["state"] == "awaiting_payment"


@pytest.mark.parametrize("crash", ["dies_before", "dies_after", "down", "lost"])
@pytest.mark.parametrize(("method", "state"), [("card", "paid"), ("wire", "awaiting_payment")])
def test_a_change_whose_process_dies_is_resumed(shop_on_both: Any, crash: str, method: str, state: str) -> None:
    shop = shop_on_both
    order = placed_with_3ds(shop)
    shop.bus.payments = crash
    if crash.startswith("dies"):
        with pytest.raises(shop.Crash):
            change(shop, order, method)
    else:
        assert change(shop, order, method)["status"] == 202
    assert now(shop, order)["next_action"] is None
    shop.bus.payments = "captured"
    shop.clock.advance(seconds=11)
    resume_orders(shop.app)
    assert now(shop, order)["state"] == state
    assert change(shop, order, method)["order"]["state"] == state
    assert len(shop.bus.attempts) == 1
    assert len(shop.paid_events()) == len(shop.bus.charges) == int(method == "card")


def test_the_second_change_counts(shop: Any) -> None:
    order = placed_with_3ds(shop)
    shop.bus.payments = "down"
    assert change(shop, order, "wire")["status"] == 202
    shop.bus.payments = "captured"
    assert change(shop, order, key="change-2")["order"]["state"] == "paid"
    assert change(shop, order, "wire")["status"] == 202, "its first answer, again"
    assert shop.bus.requests[-1]["round"] == 2
    (stored,) = shop.rows(storage.ORDERS)
    assert stored["payment_round"] == 2


def test_cancelled_while_its_payer_should_confirm(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = placed_with_3ds(shop)
    cancelled = shop.cancel(order["id"])
    assert (cancelled["status"], cancelled["order"]["state"]) == (200, "cancelled")
    assert cancelled["order"]["next_action"] is None
    assert shop.refused(resume, shop, order).code == "order_cancelled"
    assert shop.refused(change, shop, order).code == "order_cancelled"
    assert len(shop.cart()["lines"]) == 1


def test_another_organisations_order_is_not_found(shop: Any) -> None:
    order = placed_with_3ds(shop)
    shop.buyer = identity(organization_id="org_bolt")
    for ask in (change, resume):
        assert shop.refused(ask, shop, order).code == "not_found"
