"""Tax: by line, rounded half up, and the same in every total (mission, clauses 19 and 26)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from cart import messages, storage
from cart.domain.tax import Tax, exempted, percent, tax_on, tax_on_lines
from cart.use_cases.get_order import get_order
from chassis.messages import dump_checked
from kernel.money import Money

VAT = Tax("VAT", 190_000)


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


@pytest.mark.parametrize(
    ("amount_minor", "rate_ppm", "tax_minor"),
    [(0, 190_000, 0), (50, 190_000, 10), (49, 190_000, 9), (2, 250_000, 1), (1, 499_999, 0), (1, 500_000, 1),
     (9999, 88_750, 887), (10**12, 1_000_000, 10**12)],
)  # fmt: skip
def test_a_line_is_rounded_half_up(amount_minor: int, rate_ppm: int, tax_minor: int) -> None:
    assert tax_on(Money(amount_minor, "USD"), Tax("T", rate_ppm)) == Money(tax_minor, "USD")


def test_three_lines_are_not_their_sum() -> None:
    """Three times 0.50 is taxed with 3 x 0.10, not with 0.29 (19 percent of 1.50 is 0.285)."""
    lines = [Money(50, "USD")] * 3
    assert tax_on_lines(lines, VAT, "USD") == Money(30, "USD")
    assert tax_on(Money(150, "USD"), VAT) == Money(29, "USD")


@given(st.lists(st.integers(0, 10**11), max_size=20), st.integers(0, 1_000_000), st.sampled_from(["JPY", "USD", "KWD"]))
def test_no_line_is_off_by_more_than_half_a_unit(amounts: list[int], rate_ppm: int, currency: str) -> None:
    tax, lines = Tax("T", rate_ppm), [Money(amount, currency) for amount in amounts]
    for line in lines:
        exact = Fraction(line.amount_minor * rate_ppm, 1_000_000)
        assert -Fraction(1, 2) < tax_on(line, tax).amount_minor - exact <= Fraction(1, 2)
    assert tax_on_lines(lines, tax, currency) == sum((tax_on(line, tax) for line in lines), Money(0, currency))


def test_no_tax_and_an_exemption() -> None:
    assert tax_on(Money(100, "USD"), None) == Money(0, "USD")
    assert exempted(None, "C-1") is None
    assert exempted(VAT, None) is VAT
    assert exempted(VAT, "C-1") == Tax("VAT", 0, "C-1")
    assert [percent(rate) for rate in (0, 190_000, 88_750, 1, 1_000_000)] == ["0", "19", "8.875", "0.0001", "100"]


def test_an_order_is_taxed_where_it_is_billed_to(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.bus.products["PACK-120"]["unit_price"] = usd(3333)
    shop.add_pack(3)
    shop.add("BOX")
    cart = shop.cart(billing_address_id="adr_us")
    assert dump_checked(messages.CartReply(), cart) == cart
    assert cart["totals"] == {"subtotal": usd(39999), "tax": usd(887 + 2663), "total": usd(43549)}
    assert cart["tax"] == {"name": "Sales tax", "rate_percent": "8.875", "certificate": None}
    assert shop.cart()["totals"] == {"subtotal": usd(39999), "tax": usd(0), "total": usd(39999)}
    reply = shop.place(billing_address_id="adr_us", expected_total=usd(43549))
    assert dump_checked(messages.PlacedReply(), reply) == reply
    order = reply["order"]
    assert (order["totals"], order["tax"]) == (cart["totals"], cart["tax"])
    assert {line["sku"]: line["tax"] for line in order["lines"]} == {"PACK-120": usd(887), "BOX": usd(2663)}
    assert (order["billing_address"]["state"], order["billing_address"]["zip"]) == ("NY", "10001")
    assert "id" not in order["billing_address"]
    assert list(shop.bus.charges.values()) == [43549]
    (event,) = shop.paid_events()
    assert event["totals"] == order["totals"]
    shop.bus.addresses.clear()
    assert get_order(shop.app, shop.buyer, order["id"]) == order


def test_where_there_is_no_tax(shop: Any) -> None:
    shop.add_pack()
    order = shop.place(billing_address_id="adr_fr", expected_total=usd(12000))["order"]
    assert (order["tax"], order["totals"]["total"]) == (None, usd(12000))


def test_an_exempt_organisation(shop: Any) -> None:
    shop.bus.certificate = "ST-119"
    shop.add_pack()
    assert shop.cart(billing_address_id="adr_de")["totals"]["tax"] == usd(0)
    order = shop.place(billing_address_id="adr_de", expected_total=usd(12000))["order"]
    assert order["tax"] == {"name": "MwSt", "rate_percent": "0", "certificate": "ST-119"}
    assert list(shop.bus.charges.values()) == [12000]


def test_what_the_buyer_saw_is_compared_with_tax(shop: Any) -> None:
    shop.add_pack()
    refusal = shop.refused(shop.place, billing_address_id="adr_de", expected_total=usd(12000))
    assert (refusal.code, refusal.extra) == ("price_changed", {"old": usd(12000), "new": usd(14280)})
    shop.bus.taxes["DE", None]["rate_ppm"] = 200_000
    assert shop.refused(shop.place, billing_address_id="adr_de", expected_total=usd(14280)).code == "price_changed"
    assert shop.written() == 0
    assert shop.place(billing_address_id="adr_de", expected_total=usd(14400))["status"] == 201


def test_a_quote_keeps_its_tax_and_its_address(shop_on_both: Any) -> None:
    shop = shop_on_both
    quote = shop.quote(billing_address_id="adr_de")
    assert (quote["totals"]["total"], quote["tax"]["rate_percent"]) == (usd(14280), "19")
    shop.bus.taxes.clear()
    shop.bus.addresses.clear()
    order = shop.convert(quote["id"])["order"]
    for same in ("totals", "tax", "billing_address"):
        assert order[same] == quote[same]
    assert list(shop.bus.charges.values()) == [14280]


def test_a_quote_without_an_address_has_no_tax(shop: Any) -> None:
    quote = shop.quote()
    assert (quote["tax"], quote["billing_address"], quote["totals"]["total"]) == (None, None, usd(12000))


def test_an_address_of_somebody_else_is_none(shop: Any) -> None:
    shop.add_pack()
    for call in (shop.cart, shop.place):
        refusal = shop.refused(call, billing_address_id="adr_other")
        assert (refusal.code, refusal.errors[0]["field"]) == ("billing_address_not_found", "billing_address_id")
    assert shop.written() == 0


def test_nobody_is_asked_who_names_no_address(shop: Any) -> None:
    shop.add_pack()
    shop.place()
    assert "accounts.billing_facts" not in shop.bus.calls


@pytest.mark.parametrize("change", [{"tax_minor": 1}, {"billing_address": None}, {"tax_name": "T"}])
def test_what_was_taxed_stays_so(shop_on_both: Any, change: dict[str, Any]) -> None:
    shop = shop_on_both
    shop.add_pack()
    order = shop.place(billing_address_id="adr_de")["order"]
    table = storage.ORDER_LINE if "tax_minor" in change else storage.ORDERS
    key = table.c.order_id if "tax_minor" in change else table.c.id
    with pytest.raises(sa.exc.DatabaseError), shop.database.transaction() as transaction:
        transaction.execute(sa.update(table).where(key == order["id"]).values(**change))
