"""Show what is on sale."""

from __future__ import annotations

from typing import Any

from catalog import storage
from catalog.bootstrap import App
from catalog.use_cases._answers import product_answer
from kernel.errors import not_found


def list_products(
    app: App, *, category: str | None = None, limit: int = 20, cursor: str | None = None
) -> dict[str, Any]:
    """A page of active products by SKU.

    Args:
        app: the application.
        category: only those in it or in a sub-category of it.
        limit: products at most.
        cursor: `next` of the page before.

    Raises:
        Refusal: `not_found`: there is no such category; `invalid_cursor`.
    """
    with app.database.reading() as reader:
        if category is not None and not storage.category_is_shown(reader, category):
            raise not_found("category")
        rows, following = storage.products_on_sale(reader, category, limit, cursor)
        prices = storage.prices_of(reader, [row["sku"] for row in rows])
    items = [product_answer(dict(row), prices[row["sku"]], app.settings.currency) for row in rows]
    return {"items": items, "next": following}
