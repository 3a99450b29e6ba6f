"""Quotes: frozen, good until their last day has passed, and converted once (mission, clauses 19 and 20)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from cart import messages, storage
from cart.domain.quote import end_of_last_day
from cart.use_cases.change_payment import change_payment
from cart.use_cases.chase_quotes import chase_quotes
from cart.use_cases.get_order import get_order
from cart.use_cases.list_orders import list_orders
from cart.use_cases.order_facts import order_facts
from cart.use_cases.resume_orders import resume_orders
from chassis.messages import dump_checked
from chassis.testing import emitted, identity
from kernel.errors import Kind, Refusal


def shown(shop: Any, order_id: str) -> Any:
    return get_order(shop.app, shop.buyer, order_id)


def orders_of(shop: Any, **filters: Any) -> Any:
    return list_orders(shop.app, shop.buyer, **messages.ListOrders().load(filters))


def test_a_quote_freezes_the_cart_and_grants_nothing(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add("CONTRACT", deployment_id="dep_one", credit_destination="organization")
    shop.add_pack(2)
    reply = shop.place(payment={"method": "quote"}, purchase_order={"number": "PO-77"})
    assert dump_checked(messages.PlacedReply(), reply) == reply
    quote = reply["order"]
    assert (reply["status"], quote["kind"], quote["state"], quote["number"]) == (201, "quote", "open", "PQ-2026-000001")
    assert quote["payment"] == {"method": "quote", "state": "not_due", "card": None}
    assert quote["expires_at"] == "2026-12-23T00:00:00.000Z"
    assert quote["quote"] == {"last_day": "2026-12-22", "time_zone": "UTC", "order_id": None}
    assert quote["totals"]["total"] == {"amount_minor": 74000, "currency": "USD"}
    assert [line["fulfilment"] for line in quote["lines"]] == ["pending", "pending"]
    assert [name for name, _ in emitted(shop.database)] == ["cart.quote_issued.v1"]
    assert not [call for call in shop.bus.calls if call.startswith("payments.")]
    assert shop.cart()["lines"] == []
    assert shown(shop, quote["id"]) == quote
    assert shop.place(payment={"method": "quote"}, purchase_order={"number": "PO-77"}) == {**reply, "replayed": True}


def test_quotes_are_listed_with_orders(shop: Any) -> None:
    quote = shop.quote()
    shop.add_pack()
    order = shop.place()["order"]

    def listed(**filters: Any) -> list[str]:
        return [each["id"] for each in orders_of(shop, **filters)["items"]]

    assert listed() == [order["id"], quote["id"]]
    assert listed(kind="quote") == listed(state="open") == [quote["id"]]
    assert listed(kind="order") == [order["id"]]
    shop.clock.advance(days=31)
    assert listed(state="open") == []
    assert listed(state="expired") == [quote["id"]]


def test_a_quote_is_nothing_that_was_ordered(shop: Any) -> None:
    shop.quote()
    staff = identity(role="finance")
    assert order_facts(shop.app, staff, limit=10, cursor=None)["items"] == []


@pytest.mark.parametrize(
    ("method", "state"), [("card", "paid"), ("wire", "awaiting_payment"), ("check", "awaiting_payment")]
)
def test_a_quote_is_converted_at_its_prices(shop_on_both: Any, method: str, state: str) -> None:
    shop = shop_on_both
    quote = shop.quote(purchase_order={"number": "PO-77"})
    for product in shop.bus.products.values():
        product["unit_price"] = {"amount_minor": product["unit_price"]["amount_minor"] * 2, "currency": "USD"}
    shop.bus.terms_version = "2027-01"
    reply = shop.convert(quote["id"], method=method)
    assert dump_checked(messages.PlacedReply(), reply) == reply
    order = reply["order"]
    assert (reply["status"], order["kind"], order["state"]) == (201, "order", state)
    assert order["totals"] == quote["totals"]
    assert (order["purchase_order"], order["terms_version"]) == ({"number": "PO-77"}, "2026-11")
    assert order["quote_id"] == quote["id"]
    assert not {line["id"] for line in order["lines"]} & {line["id"] for line in quote["lines"]}
    (request,) = shop.bus.requests
    assert request["amount"] == quote["totals"]["total"]
    closed = shown(shop, quote["id"])
    assert (closed["state"], closed["quote"]["order_id"]) == ("converted", order["id"])
    assert shop.convert(quote["id"], method=method) == {**reply, "replayed": True}
    again = shop.refused(shop.convert, quote["id"], "convert-2")
    assert (again.kind, again.code, again.extra) == (Kind.CONFLICT, "quote_converted", {"order_id": order["id"]})
    assert len(shop.bus.intents) == 1


def test_what_is_in_the_cart_meanwhile_stays(shop: Any) -> None:
    quote = shop.quote()
    cart = shop.add_pack(2)
    shop.convert(quote["id"])
    assert shop.cart() == cart
    assert shop.place()["status"] == 201


def test_a_decline_leaves_the_quote_open(shop_on_both: Any) -> None:
    shop = shop_on_both
    quote = shop.quote()
    shop.bus.payments = "failed"
    refusal = shop.refused(shop.convert, quote["id"])
    assert (refusal.kind, refusal.code) == (Kind.PAYMENT_REFUSED, "card_declined")
    assert shown(shop, quote["id"]) == quote
    shop.bus.payments = "captured"
    assert shop.refused(shop.convert, quote["id"]).code == "card_declined"
    order = shop.convert(quote["id"], "convert-2")["order"]
    assert (order["state"], shown(shop, quote["id"])["state"]) == ("paid", "converted")


def test_an_order_that_is_cancelled_unpaid_gives_the_quote_back(shop: Any) -> None:
    quote = shop.quote()
    order = shop.convert(quote["id"], method="check")["order"]
    shop.cancel(order["id"])
    assert shown(shop, quote["id"]) == quote
    assert shop.convert(quote["id"], "convert-2", method="wire")["order"]["id"] != order["id"]


@pytest.mark.parametrize("payments", ["dies_before", "dies_after"])
def test_a_conversion_that_dies_is_resumed(shop: Any, payments: str) -> None:
    quote = shop.quote()
    shop.bus.payments = payments
    with pytest.raises(shop.Crash):
        shop.convert(quote["id"])
    assert shop.refused(shop.convert, quote["id"], "convert-2").code == "quote_converted"
    shop.bus.payments = "captured"
    shop.clock.advance(seconds=11)
    resume_orders(shop.app)
    reply = shop.convert(quote["id"])
    assert (reply["replayed"], reply["order"]["state"]) == (True, "paid")
    assert list(shop.bus.charges.values()) == [12000]


def test_the_last_minute_of_the_last_day(shop: Any) -> None:
    early, late = shop.quote("quote-1"), shop.quote("quote-2")
    shop.clock.advance(seconds=(datetime(2026, 12, 22, 23, 59, tzinfo=UTC) - shop.clock.now()).total_seconds())
    assert shop.convert(early["id"])["order"]["state"] == "paid"
    shop.clock.advance(minutes=1)
    assert shown(shop, late["id"])["state"] == "expired"
    for refusal in (shop.refused(shop.convert, late["id"], "convert-2"), shop.refused(shop.cancel, late["id"])):
        assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "quote_expired")
        assert "2026-12-22" in refusal.detail
    assert [order["state"] for order in orders_of(shop, kind="quote")["items"]] == ["expired", "converted"]


def test_the_day_ends_where_the_organisation_is(shop: Any) -> None:
    shop.bus.time_zone = "America/New_York"
    quote = shop.quote()
    assert quote["expires_at"] == "2026-12-23T05:00:00.000Z"
    assert (quote["quote"]["last_day"], quote["quote"]["time_zone"]) == ("2026-12-22", "America/New_York")


def test_a_quote_that_expires_while_it_is_converted(shop: Any) -> None:
    quote = shop.quote()
    shop.clock.advance(seconds=(datetime(2026, 12, 22, 23, 59, 59, tzinfo=UTC) - shop.clock.now()).total_seconds())
    shop.bus.before = lambda method: shop.clock.advance(seconds=2) if method == "price_lines" else None
    assert shop.refused(shop.convert, quote["id"]).code == "quote_expired"
    assert shop.bus.requests == []


@pytest.mark.parametrize(
    ("placed_at", "time_zone", "end"),
    [
        (datetime(2026, 11, 22, 12, tzinfo=UTC), "UTC", datetime(2026, 12, 23, tzinfo=UTC)),
        (datetime(2026, 11, 22, 23, 30, tzinfo=UTC), "Europe/Berlin", datetime(2026, 12, 23, 23, tzinfo=UTC)),
        (datetime(2026, 11, 22, 3, tzinfo=UTC), "America/Los_Angeles", datetime(2026, 12, 22, 8, tzinfo=UTC)),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "Europe/Berlin", datetime(2026, 3, 31, 22, tzinfo=UTC)),
        (datetime(2026, 11, 22, 12, tzinfo=UTC), "Asia/Kathmandu", datetime(2026, 12, 22, 18, 15, tzinfo=UTC)),
    ],
)
def test_the_end_of_the_last_day(placed_at: datetime, time_zone: str, end: datetime) -> None:
    assert end_of_last_day(placed_at, 30, time_zone) == end


def test_what_can_no_longer_be_had_is_refused(shop: Any) -> None:
    shop.add("LICENCE", deployment_id="dep_one")
    shop.add("BOX")
    quote = shop.quote()
    shop.bus.deployments["dep_one"] = "retired"
    del shop.bus.products["BOX"]
    refusal = shop.refused(shop.convert, quote["id"])
    assert (refusal.kind, refusal.code) == (Kind.INVALID, "deployment_retired")
    assert [error["field"] for error in refusal.errors] == ["lines.0.deployment_id", "lines.1.sku"]
    del shop.bus.deployments["dep_one"]
    assert shop.refused(shop.convert, quote["id"]).code == "deployment_not_found"
    assert shown(shop, quote["id"])["state"] == "open"
    assert shop.bus.requests == []


def test_a_quote_is_cancelled_once(shop: Any) -> None:
    quote = shop.quote()
    reply = shop.cancel(quote["id"])
    assert (reply["status"], reply["order"]["state"], reply["order"]["cancel_reason"]) == (
        200, "cancelled", "cancelled_on_request",
    )  # fmt: skip
    assert shop.cancel(quote["id"]) == {**reply, "replayed": True}
    assert shop.cancel(quote["id"], "cancel-2") == reply
    assert shop.refused(shop.convert, quote["id"]).code == "quote_cancelled"
    assert "payments.void" not in shop.bus.calls


def test_a_quote_and_an_order_are_two_things(shop: Any) -> None:
    quote = shop.quote()
    payment = {"method": "wire", "payment_method_id": None, "provider_token": None}
    refusal = shop.refused(
        change_payment, shop.app, shop.buyer, id=quote["id"], idempotency_key="change-1", payment=payment
    )
    assert refusal.code == "quote_not_converted"
    assert shop.refused(shop.convert, quote["id"], method="quote").code == "payment_method_unavailable"
    order = shop.convert(quote["id"])["order"]
    assert shop.refused(shop.convert, order["id"], "convert-2").code == "not_a_quote"
    assert shop.refused(shop.cancel, quote["id"]).code == "quote_converted"
    stranger = identity(user_id="usr_cy", organization_id="org_other")
    assert shop.refused(shop.convert, quote["id"], "convert-3", caller=stranger).code == "not_found"
    assert shop.refused(shop.cancel, quote["id"], "cancel-3", caller=stranger).code == "not_found"
    viewer = identity(role="viewer")
    assert shop.refused(shop.convert, quote["id"], "convert-4", caller=viewer).code == "forbidden"


def test_reminded_once_then_closed(shop_on_both: Any) -> None:
    shop = shop_on_both
    quote, gone = shop.quote("quote-1"), shop.quote("quote-2")
    shop.cancel(gone["id"])

    def reminded() -> list[str]:
        return [data["order_id"] for name, data in emitted(shop.database) if name == "cart.quote_expiring.v1"]

    chase_quotes(shop.app)
    assert reminded() == []
    shop.clock.advance(days=28)
    chase_quotes(shop.app)
    chase_quotes(shop.app)
    assert reminded() == [quote["id"]]
    shop.clock.advance(days=3)
    chase_quotes(shop.app)
    assert {row["id"]: row["state"] for row in shop.rows(storage.ORDERS)} == {
        quote["id"]: "expired", gone["id"]: "cancelled",
    }  # fmt: skip
    assert reminded() == [quote["id"]]


@pytest.mark.parametrize(
    "change",
    [
        {"state": "paid"}, {"converted_to": "ord_1"}, {"payment_method": "card"}, {"quote_id": "ord_1"},
        {"time_zone": "Europe/Berlin"}, {"total_minor": 1},
    ],
)  # fmt: skip
def test_the_database_keeps_a_quote_a_quote(shop_on_both: Any, change: dict[str, Any]) -> None:
    shop = shop_on_both
    quote = shop.quote()
    with pytest.raises(sa.exc.DatabaseError), shop.database.transaction() as transaction:
        transaction.execute(sa.update(storage.ORDERS).where(storage.ORDERS.c.id == quote["id"]).values(**change))


@pytest.mark.parametrize("method", ["card", "wire"])
def test_converted_twice_at_once(shop_on_postgres: Any, method: str) -> None:
    shop = shop_on_postgres
    quote = shop.quote()
    shop.meet("price_lines", 4)
    results = shop.at_once(
        *[lambda key=f"convert-{number}": shop.convert(quote["id"], key, method) for number in range(4)]
    )
    assert shop.codes(results) == ["201", "quote_converted", "quote_converted", "quote_converted"]
    (order,) = [row for row in shop.rows(storage.ORDERS) if row["quote_id"]]
    assert {result.extra["order_id"] for result in results if isinstance(result, Refusal)} == {order["id"]}
    assert len(shop.bus.intents) == 1


def test_one_key_twice_at_once(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    quote = shop.quote()
    shop.meet("price_lines", 2)
    results = shop.at_once(*[lambda: shop.convert(quote["id"])] * 2)
    assert set(shop.codes(results)) <= {"201", "idempotency_key_in_flight"}
    assert len([row for row in shop.rows(storage.ORDERS) if row["quote_id"]]) == len(shop.bus.charges) == 1


def test_declined_while_it_is_converted_again(shop_on_postgres: Any) -> None:
    """Who cancels the order and gives the quote back, and who converts it, lock the same rows: neither gets stuck."""
    shop = shop_on_postgres
    quote = shop.quote()
    shop.bus.payments = "failed"
    for number in range(6):
        gate = threading.Barrier(2, timeout=30)
        shop.bus.before = lambda method, gate=gate: gate.wait() if method == "price_lines" else None
        results = shop.at_once(*[lambda key=f"c-{number}-{each}": shop.convert(quote["id"], key) for each in range(2)])
        assert set(shop.codes(results)) <= {"card_declined", "quote_converted"}
        shop.bus.before = lambda method: None
    assert shown(shop, quote["id"])["state"] == "open"
    shop.bus.payments = "captured"
    assert shop.convert(quote["id"], "at-last")["order"]["state"] == "paid"
