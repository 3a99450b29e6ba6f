"""Show one product."""

from __future__ import annotations

from typing import Any

from catalog import storage
from catalog.bootstrap import App
from catalog.use_cases._answers import product_answer
from kernel.errors import not_found


def get_product(app: App, *, sku: str) -> dict[str, Any]:
    """A product; one that is no longer sold too, so that an old order can still be read.

    Raises:
        Refusal: `not_found`.
    """
    with app.database.reading() as reader:
        row = storage.product(reader, sku)
        if row is None:
            raise not_found("product")
        prices = storage.prices_of(reader, [sku])
    return product_answer(dict(row), prices[sku], app.settings.currency)
