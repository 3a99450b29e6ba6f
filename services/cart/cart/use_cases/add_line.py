"""Add to cart."""

from __future__ import annotations

from typing import Any

from cart.bootstrap import App
from cart.clients import PriceList
from cart.domain import cart as rules
from cart.use_cases.change_cart import change_cart
from chassis.identity import Identity
from kernel.errors import invalid
from kernel.ids import new_id


def add_line(
    app: App,
    caller: Identity,
    *,
    sku: str,
    quantity: int,
    deployment_id: str | None,
    credit_destination: str | None,
    if_match: int | None,
    currency: str | None = None,
) -> dict[str, Any]:
    """Add a product to the caller's cart; the cart comes back.

    Raises:
        Refusal: see `change_cart`; `unknown_sku`, `quantity_out_of_range`, `deployment_not_allowed`,
            `credit_destination_not_allowed`, `cart_full`.
    """

    def add(cart: rules.Cart, prices: PriceList) -> rules.Cart:
        product = prices.products.get(sku)
        if product is None:
            raise invalid("unknown_sku", "This product is not sold here.", "sku")
        return rules.add_line(cart, rules.Line(new_id("cln"), product, quantity, deployment_id, credit_destination))

    return change_cart(app, caller, add, if_match=if_match, sku=sku, deployment_id=deployment_id, currency=currency)
