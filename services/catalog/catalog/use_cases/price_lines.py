"""Price what a cart holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catalog import storage
from catalog.bootstrap import App
from chassis.persistence import Reader

_SHOWN = ("sku", "name", "kind", "credits", "needs_deployment", "max_quantity", "term_months", "credits_valid_days")


def price_lines(
    app: App, *, skus: Sequence[str], currency: str, taxed_in: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a checkout must know of products. Each checkout asks this, so it is one statement; another one for a tax.

    Args:
        app: the application.
        skus: of the cart's lines.
        currency: the cart's.
        taxed_in: ``{"country", "state"}`` of the billing address; None if no tax is asked for.

    Returns:
        `items` by SKU, without what is unknown, inactive or not sold in `currency`; the version of the terms in force;
        if asked for, the `tax` of the jurisdiction today (UTC), None if there is none.
    """
    with app.database.reading() as reader:
        rows, terms_version = storage.sold_lines(reader, skus, currency)
        asked = {} if taxed_in is None else {"tax": _tax(reader, taxed_in)}
    items = [
        {
            **{name: row[name] for name in _SHOWN},
            "unit_price": {"amount_minor": row["amount_minor"], "currency": row["currency"]},
        }
        for row in rows
    ]
    return {"items": items, "terms_version": terms_version, **asked}


def _tax(reader: Reader, taxed_in: Mapping[str, Any]) -> dict[str, Any] | None:
    rate = storage.tax_rate(reader, taxed_in["country"], taxed_in["state"] or "", reader.now.date())
    return None if rate is None else {"name": rate["name"], "rate_ppm": rate["rate_ppm"]}
