"""A buyer whose browser lost the answer comes back with another one-time token: still one payment."""

from __future__ import annotations

from typing import Any

import pytest

from cart.use_cases.resume_orders import resume_orders

FRESH = {"method": "card", "provider_token": "tok_fresh"}


@pytest.mark.parametrize("payments", ["lost", "down"])
def test_a_retry_with_a_fresh_token_is_no_second_payment(shop_on_both: Any, payments: str) -> None:
    """Whether the charge was made, nobody knows yet; so neither key may begin another one."""
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = payments
    order = shop.place()["order"]
    shop.bus.payments = "captured"
    assert shop.refused(shop.place, payment=FRESH).code == "idempotency_key_reused"
    assert shop.refused(shop.place, "key-2", payment=FRESH).code == "order_in_progress"
    shop.clock.advance(seconds=11)
    resume_orders(shop.app)
    assert shop.refused(shop.place, "key-2", payment=FRESH).code == "cart_empty"
    assert shop.place()["order"]["id"] == order["id"]
    assert list(shop.bus.charges.values()) == [12000]
    assert [event["order_id"] for event in shop.paid_events()] == [order["id"]]
    assert "tok_fresh" not in {request.get("provider_token") for request in shop.bus.requests}


def test_after_a_decline_a_fresh_token_pays(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = "failed"
    declined = shop.refused(shop.place)
    shop.bus.payments = "captured"
    again = shop.place("key-2", payment=FRESH)
    assert (again["status"], again["order"]["id"] != declined.extra["order_id"]) == (201, True)
    assert shop.refused(shop.place).code == "card_declined", "the first key answers as it did"
    assert list(shop.bus.charges.values()) == [12000]
