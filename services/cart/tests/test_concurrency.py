"""Two at once, on a real PostgreSQL with threads."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest

from cart import storage
from cart.use_cases.hand_over_lines import hand_over_lines
from cart.use_cases.resume_orders import resume_orders
from cart.use_cases.settle_order import settle_orders_by_event
from chassis.testing import identity, make_event
from kernel.errors import Refusal


@pytest.mark.parametrize("threads", [2, 8])
def test_one_key_many_threads(shop_on_postgres: Any, threads: int) -> None:
    shop = shop_on_postgres
    shop.add_pack()
    shop.meet("price_lines", threads)
    results = shop.at_once(*[shop.place] * threads)
    assert set(shop.codes(results)) <= {"201", "idempotency_key_in_flight"}
    placed = [result["order"]["id"] for result in results if not isinstance(result, Refusal)]
    assert placed
    assert len(set(placed)) == len(shop.rows(storage.ORDERS)) == len(shop.paid_events()) == 1
    assert list(shop.bus.charges.values()) == [12000]


@pytest.mark.parametrize("threads", [2, 8])
def test_many_keys_one_cart(shop_on_postgres: Any, threads: int) -> None:
    shop = shop_on_postgres
    shop.add_pack()
    shop.meet("price_lines", threads)
    results = shop.at_once(*[lambda key=f"key-{number}": shop.place(key) for number in range(threads)])
    found = shop.codes(results)
    assert found[0] == "201"
    assert set(found[1:]) <= {"cart_changed", "order_in_progress"}
    assert len(shop.rows(storage.ORDERS)) == len(shop.paid_events()) == len(shop.bus.charges) == 1
    assert shop.cart()["lines"] == []


def test_many_buyers_get_different_numbers(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    buyers = [identity(user_id=f"usr_{number}") for number in range(6)]
    for buyer in buyers:
        shop.add_pack(caller=buyer)
    results = shop.at_once(*[lambda buyer=buyer: shop.place(buyer.user_id, buyer) for buyer in buyers])
    assert shop.codes(results) == ["201"] * 6
    assert sorted(result["order"]["number"][-1] for result in results) == ["1", "2", "3", "4", "5", "6"]


def test_the_cart_changes_while_it_is_paid(shop_on_postgres: Any) -> None:
    """Lines come and go in one thread while the other pays: no deadlock, and nothing ordered stays."""
    shop = shop_on_postgres
    shop.add_pack()
    adds = [lambda sku=sku: shop.add(sku) for sku in ("BOX", "LICENCE", "BOX", "LICENCE")]
    shop.meet("price_lines", 5)
    results = shop.at_once(shop.place, *adds)
    carded = [line for line in shop.cart()["lines"] if line["credit_destination"] == "support_card"]
    if isinstance(results[0], Refusal):
        assert (results[0].code, len(carded), shop.bus.charges) == ("cart_changed", 1, {})
    else:
        assert (carded, len(shop.paid_events())) == ([], 1)
    assert sum(line["quantity"] for line in shop.cart()["lines"]) == 4 + len(carded)


def test_merging_adds_lose_nothing(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    shop.at_once(*[lambda: shop.add("BOX")] * 8)
    assert [line["quantity"] for line in shop.cart()["lines"]] == [8]


def test_reply_event_and_resumption_at_once(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    shop.add_pack()
    shop.bus.payments = "down"
    order_id = shop.place()["order"]["id"]
    shop.bus.payments = "captured"
    shop.clock.advance(seconds=11)
    data = {
        "order_id": order_id, "intent_id": "pay", "amount": {"amount_minor": 12000, "currency": "USD"},
        "card": {"brand": "visa", "last4": "4242"},
    }  # fmt: skip
    event = make_event("payments.captured.v1", data)
    shop.at_once(
        *[lambda: settle_orders_by_event(shop.app, [event], "captured")] * 2,
        *[lambda: resume_orders(shop.app)] * 2,
        *[shop.place] * 2,
    )
    assert len(shop.paid_events()) == 1
    assert shop.rows(storage.ORDERS)[0]["state"] == "paid"
    assert sum(shop.bus.charges.values()) in (0, 12000)


def test_several_processes_share_the_orders_to_resume(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    shop.bus.payments = "down"
    for number in range(6):
        buyer = identity(user_id=f"usr_{number}")
        shop.add_pack(caller=buyer)
        shop.place(buyer.user_id, buyer)
    shop.bus.payments = "captured"
    shop.bus.calls.clear()
    shop.clock.advance(seconds=11)
    shop.at_once(*[lambda: resume_orders(shop.app)] * 3)
    assert len(shop.paid_events()) == 6
    assert shop.bus.calls.count("payments.get_intent") == shop.bus.calls.count("payments.collect") == 6


def test_credited_and_bound_at_once_fulfil_the_order(shop_on_postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each looks whether the order is complete before the other commits, unless the order is locked first."""
    shop = shop_on_postgres
    shop.add_pack()
    shop.add("LICENCE", deployment_id="dep_one")
    order = shop.place()["order"]
    pack, licence = (line["id"] for line in order["lines"])
    real, both_have_looked = storage.fulfil_if_complete, threading.Barrier(2, timeout=0.5)

    def look_and_linger(*arguments: Any) -> bool:
        closed = real(*arguments)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_have_looked.wait()
        return closed

    monkeypatch.setattr(storage, "fulfil_if_complete", look_and_linger)
    credited = make_event("credits.order_credited.v1", {"order_id": order["id"], "line_ids": [pack]})
    bound = make_event("accounts.order_bound.v1", {"order_id": order["id"], "line_ids": [licence]})
    shop.at_once(
        lambda: hand_over_lines(shop.app, [credited], "awaits_credits"),
        lambda: hand_over_lines(shop.app, [bound], "awaits_binding"),
    )
    assert shop.rows(storage.ORDERS)[0]["state"] == "fulfilled"
