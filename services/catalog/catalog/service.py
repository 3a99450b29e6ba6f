"""The catalogue on the bus: entrypoints only. Everybody may look, so every method is anonymous."""

from __future__ import annotations

from typing import Any

from catalog import messages
from catalog.bootstrap import bootstrap
from catalog.use_cases.get_product import get_product
from catalog.use_cases.get_terms import get_terms
from catalog.use_cases.list_categories import list_categories
from catalog.use_cases.list_products import list_products
from catalog.use_cases.price_lines import price_lines
from chassis.service import Call, Provided, Service, rpc


class CatalogService(Service):
    """Products, categories, prices and terms."""

    name = "catalog"
    app = Provided(bootstrap)

    @rpc(request=messages.ListCategories(), reply=messages.CategoryList(), anonymous=True)
    def list_categories(self, call: Call) -> dict[str, Any]:
        """The category tree."""
        return list_categories(self.app)

    @rpc(request=messages.ListProducts(), reply=messages.ProductPage(), anonymous=True)
    def list_products(self, call: Call) -> dict[str, Any]:
        """A page of what is on sale."""
        return list_products(self.app, **call.data)

    @rpc(request=messages.GetProduct(), reply=messages.Product(), anonymous=True)
    def get_product(self, call: Call) -> dict[str, Any]:
        """One product."""
        return get_product(self.app, **call.data)

    @rpc(request=messages.PriceLines(), reply=messages.PricedLines(), anonymous=True)
    def price_lines(self, call: Call) -> dict[str, Any]:
        """What a checkout must know of the products in a cart."""
        return price_lines(self.app, **call.data)

    @rpc(request=messages.GetTerms(), reply=messages.Terms(), anonymous=True)
    def get_terms(self, call: Call) -> dict[str, Any]:
        """The terms in force."""
        return get_terms(self.app)
