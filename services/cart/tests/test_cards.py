"""Saved cards at checkout, and cards that are tried out."""

from __future__ import annotations

from typing import Any

import pytest

from cart import messages, storage
from cart.use_cases.change_payment import change_payment
from cart.use_cases.resume_orders import resume_orders
from chassis.messages import load_request
from chassis.testing import identity
from kernel.errors import Kind

SAVED = {"method": "card", "payment_method_id": "pm_ada"}


def test_a_saved_card_pays(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    reply = shop.place(payment=SAVED)
    assert (reply["status"], reply["order"]["state"]) == (201, "paid")
    assert shop.bus.requests[-1]["payment_method_id"] == "pm_ada"
    assert "provider_token" not in shop.bus.requests[-1]
    assert shop.rows(storage.ORDERS)[0]["payment_method_id"] == "pm_ada"


@pytest.mark.parametrize(
    ("payment", "code"),
    [
        ({"method": "card", "payment_method_id": "pm_of_others"}, "not_found"),
        ({**SAVED, "provider_token": "tok"}, "provider_token_unexpected"),
        ({**SAVED, "method": "wire"}, "payment_method_unexpected"),
        ({"method": "wire", "provider_token": "tok"}, "provider_token_unexpected"),
        ({"method": "card"}, "provider_token_required"),
        ({**SAVED, "save": True}, "save_unexpected"),
        ({"method": "wire", "save": True}, "save_unexpected"),
    ],
)
def test_what_is_no_way_to_pay_leaves_no_trace(shop: Any, payment: dict[str, Any], code: str) -> None:
    shop.add_pack()
    assert shop.refused(shop.place, payment=payment).code == code
    assert shop.written() == 0


def test_a_saved_card_takes_the_place_of_one_under_way(shop: Any) -> None:
    shop.add_pack()
    shop.bus.payments = "3ds"
    order = shop.place()["order"]
    shop.bus.payments = "captured"
    request = {"id": order["id"], "idempotency_key": "c", "payment": SAVED}
    paid = change_payment(shop.app, shop.buyer, **load_request(messages.ChangePayment(), request))
    assert paid["order"]["state"] == "paid"
    assert shop.bus.requests[-1]["payment_method_id"] == "pm_ada"


def test_the_wish_to_save_the_card_outlives_a_crash(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = "dies_before"
    with pytest.raises(shop.Crash):
        shop.place(payment={"method": "card", "provider_token": "tok_success", "save": True})
    shop.bus.payments = "captured"
    shop.clock.advance(minutes=1)
    resume_orders(shop.app)
    assert [request["save"] for request in shop.bus.requests] == [True, True]
    assert shop.rows(storage.ORDERS)[0]["state"] == "paid"


def test_a_card_is_not_to_be_saved_unless_its_buyer_says_so(shop: Any) -> None:
    shop.add_pack()
    shop.place(payment={"method": "card", "provider_token": "tok_success", "save": False})
    assert "save" not in shop.bus.requests[-1]


def declined(shop: Any, times: int, **more: Any) -> None:
    shop.bus.payments = "failed"
    for number in range(times):
        assert shop.refused(shop.place, f"bad-{number}", **more).code == "card_declined"


def test_cards_are_not_tried_out_here(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    declined(shop, 10)
    shop.bus.payments = "captured"
    refused = shop.refused(shop.place, "good")
    assert (refused.kind, refused.code, refused.extra["retry_after_s"]) == (Kind.TOO_MANY, "too_many_attempts", 600)
    assert shop.bus.charges == {}
    assert shop.refused(shop.place, "bad-0").code == "card_declined", "what was asked before is answered"
    other = identity(user_id="usr_grace", organization_id="org_bolt")
    shop.add("PACK-120", caller=other, credit_destination="support_card")
    assert shop.place("theirs", other, client_address="192.0.2.8")["order"]["state"] == "paid"
    shop.clock.advance(minutes=10)
    assert shop.place("good")["order"]["state"] == "paid"


@pytest.mark.parametrize("who", ["organization", "user", "address"])
def test_whoever_tries_them_is_held_up(shop: Any, who: str) -> None:
    shop.add_pack()
    declined(shop, 10, client_address="2001:db8::1")
    other = identity(
        user_id="usr_ada" if who == "user" else "usr_other",
        organization_id="org_acme" if who == "organization" else "org_other",
    )
    shop.add("PACK-120", caller=other, credit_destination="support_card")
    shop.bus.payments = "captured"
    address = "2001:db8::2" if who == "address" else "192.0.2.8"  # of the same network
    assert shop.refused(shop.place, "theirs", other, client_address=address).code == "too_many_attempts"
    assert shop.place("wired", other, client_address=address, payment={"method": "wire"})["status"] == 201


def test_a_decline_counts_once_however_often_it_is_told(shop: Any) -> None:
    shop.add_pack()
    declined(shop, 1)
    for _ in range(20):
        shop.refused(shop.place, "bad-0")
    declined_again = [row["failed_at"] for row in shop.rows(storage.FAILURE)]
    assert [text.count(",") for text in declined_again] == [0, 0, 0]
