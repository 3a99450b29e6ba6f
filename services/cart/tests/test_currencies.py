"""Currencies with 0, 2 and 3 decimals; a cart is in one."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import Kind


def of(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}


@pytest.fixture
def abroad(shop_on_both: Any) -> Any:
    for currency, price in (("JPY", 1795), ("KWD", 3705)):
        shop_on_both.bus.products[f"PACK-{currency}"] = {
            **shop_on_both.bus.products["PACK-120"], "sku": f"PACK-{currency}", "unit_price": of(price, currency),
        }  # fmt: skip
    return shop_on_both


@pytest.mark.parametrize(("currency", "subtotal", "tax"), [("JPY", 5385, 1023), ("KWD", 11115, 2112)])
def test_an_order_is_in_the_currency_of_its_cart(abroad: Any, currency: str, subtotal: int, tax: int) -> None:
    """Tax is rounded to the currency's own minor unit: 19 percent of 5385 yen are 1023.15, of 11.115 dinars 2.11185."""
    cart = abroad.add(f"PACK-{currency}", 3, credit_destination="organization", currency=currency)
    assert (cart["currency"], cart["totals"]["subtotal"]) == (currency, of(subtotal, currency))
    totals = {"subtotal": of(subtotal, currency), "tax": of(tax, currency), "total": of(subtotal + tax, currency)}
    assert abroad.cart(billing_address_id="adr_de")["totals"] == totals
    order = abroad.place(billing_address_id="adr_de", expected_total=totals["total"])["order"]
    assert (order["state"], order["totals"]) == ("paid", totals)
    assert list(abroad.bus.charges.values()) == [subtotal + tax]


def test_a_cart_is_in_one_currency(abroad: Any) -> None:
    cart = abroad.add_pack()
    refusal = abroad.refused(abroad.add, "PACK-JPY", currency="JPY")
    assert (refusal.kind, refusal.code, refusal.extra) == (Kind.CONFLICT, "cart_currency_differs", {"currency": "USD"})
    assert abroad.cart() == cart
    abroad.place()
    assert abroad.add("PACK-JPY", currency="JPY")["currency"] == "JPY"
    assert abroad.add("PACK-JPY")["currency"] == "JPY"
    assert abroad.refused(abroad.add_pack).code == "unknown_sku"


def test_what_is_not_sold_in_a_currency_leaves_the_cart_as_it_is(abroad: Any) -> None:
    assert abroad.refused(abroad.add, "PACK-JPY", currency="KWD").code == "unknown_sku"
    assert abroad.cart()["currency"] == "USD"


def test_two_currencies_at_once(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    shop.bus.products["YEN"] = {**shop.bus.products["BOX"], "sku": "YEN", "unit_price": of(100, "JPY")}
    shop.cart()
    shop.meet("price_lines", 2)

    def add(sku: str, currency: str) -> dict[str, Any]:
        return {"status": shop.add(sku, currency=currency)["currency"]}

    results = shop.at_once(lambda: add("BOX", "USD"), lambda: add("YEN", "JPY"))
    assert shop.codes(results) in (["JPY", "cart_currency_differs"], ["USD", "cart_currency_differs"])
    shop.bus.before = lambda method: None
    assert len(shop.cart()["lines"]) == 1
