"""How a product is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def product_answer(row: Mapping[str, Any], prices: Mapping[str, int], store_currency: str) -> dict[str, Any]:
    """A product as the public API shows it.

    Args:
        row: as stored.
        prices: minor units by currency; at least one.
        store_currency: the currency of `price`; the first of `prices` if it is not among them.
    """
    shown = store_currency if store_currency in prices else next(iter(prices))
    return {
        **row,
        "price": {"amount_minor": prices[shown], "currency": shown},
        "prices": [{"amount_minor": amount, "currency": currency} for currency, amount in prices.items()],
    }
