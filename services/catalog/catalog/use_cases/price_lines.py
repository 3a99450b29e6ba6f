"""Price what a cart holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catalog import storage
from catalog.bootstrap import App

_SHOWN = ("sku", "name", "kind", "credits", "needs_deployment", "max_quantity")


def price_lines(app: App, *, skus: Sequence[str], currency: str) -> dict[str, Any]:
    """What a checkout must know of products. Each checkout asks this, so it is one statement.

    Args:
        app: the application.
        skus: of the cart's lines.
        currency: the cart's.

    Returns:
        `items` by SKU, without what is unknown, inactive or not sold in `currency`; the version of the terms in force.
    """
    with app.database.reading() as reader:
        rows, terms_version = storage.sold_lines(reader, skus, currency)
    items = [
        {
            **{name: row[name] for name in _SHOWN},
            "unit_price": {"amount_minor": row["amount_minor"], "currency": row["currency"]},
        }
        for row in rows
    ]
    return {"items": items, "terms_version": terms_version}
