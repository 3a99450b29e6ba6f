"""What cart remembers of prices between two changes of a cart."""

from __future__ import annotations

from typing import Any

import pytest

from cart.clients import Catalog, PriceList


class Bus:
    """Catalog, as far as it is asked."""

    def __init__(self) -> None:
        self.prices = {"BOX": 100, "PACK": 200}
        self.terms = "2026-11"
        self.asked: list[list[str]] = []

    def call(self, _service: str, _method: str, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        self.asked.append(data["skus"])
        items = [
            {"sku": sku, "name": sku, "kind": "hardware", "credits": 0, "needs_deployment": False, "max_quantity": 9,
             "unit_price": {"amount_minor": self.prices[sku], "currency": data["currency"]}}
            for sku in data["skus"] if sku in self.prices
        ]  # fmt: skip
        return {"items": items, "terms_version": self.terms}


@pytest.fixture
def bus() -> Bus:
    return Bus()


def recent_prices(catalog: Catalog, skus: list[str], currency: str) -> PriceList:
    return catalog.kept_prices(skus, currency) or catalog.price_lines(skus, currency)


def price(catalog: Catalog, sku: str, currency: str = "USD") -> int | None:
    product = recent_prices(catalog, [sku], currency).products.get(sku)
    return product.unit_price.amount_minor if product else None


def test_a_price_is_repeated_for_a_moment(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    catalog = Catalog(bus, kept_s=2)  # type: ignore[arg-type]
    assert (price(catalog, "BOX"), price(catalog, "BOX")) == (100, 100)
    assert bus.asked == [["BOX"]]
    bus.prices["BOX"] = 150
    now += 1.9
    assert price(catalog, "BOX") == 100
    now += 0.2
    assert price(catalog, "BOX") == 150


def test_whoever_orders_always_asks_and_what_is_learnt_is_shown_from_then_on(bus: Bus) -> None:
    catalog = Catalog(bus, kept_s=60)  # type: ignore[arg-type]
    price(catalog, "BOX")
    bus.prices["BOX"] = 150
    assert catalog.price_lines(["BOX"], "USD").products["BOX"].unit_price.amount_minor == 150
    assert price(catalog, "BOX") == 150
    del bus.prices["BOX"]
    catalog.price_lines(["BOX"], "USD")
    assert price(catalog, "BOX") is None


def test_what_is_not_known_is_asked(bus: Bus) -> None:
    catalog = Catalog(bus, kept_s=60)  # type: ignore[arg-type]
    for sku in ("BOX", "PACK", "NONE"):
        price(catalog, sku)
    bus.asked.clear()
    assert recent_prices(catalog, ["BOX", "PACK"], "USD").products.keys() == {"BOX", "PACK"}
    assert bus.asked == []
    assert price(catalog, "NONE") is None  # never sold: not kept, so that nobody can fill the memory
    assert price(catalog, "BOX", "EUR") == 100
    assert bus.asked == [["NONE"], ["BOX"]]


def test_two_versions_of_the_terms_are_asked_about(bus: Bus) -> None:
    catalog = Catalog(bus, kept_s=60)  # type: ignore[arg-type]
    price(catalog, "BOX")
    bus.terms = "2026-12"
    price(catalog, "PACK")
    assert recent_prices(catalog, ["BOX", "PACK"], "USD").terms_version == "2026-12"


def test_nothing_is_kept_unless_it_is_wanted(bus: Bus) -> None:
    catalog = Catalog(bus)  # type: ignore[arg-type]
    assert (price(catalog, "BOX"), price(catalog, "BOX")) == (100, 100)
    assert len(bus.asked) == 2
