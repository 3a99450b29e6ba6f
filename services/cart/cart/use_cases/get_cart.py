"""Show the cart at current prices."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.cart import Cart, refreshed
from cart.domain.tax import exempted
from cart.use_cases.views import READERS, cart_view
from chassis.identity import Identity


def get_cart(app: App, caller: Identity, *, billing_address_id: str | None = None) -> dict[str, Any]:
    """The caller's cart; an empty one if there has never been one.

    Args:
        app: the parts.
        caller: whose cart.
        billing_address_id: with it the cart is shown with the tax that an order billed to it would have today.

    The prices shown are kept as those the buyer last saw, which is what a rise at checkout is measured against; that
    writes only when one has changed.

    Raises:
        Refusal: `forbidden`, `billing_address_not_found`, `unavailable`.
    """
    caller.require(*READERS)
    with app.database.reading() as reader:
        seen = storage.read_cart(reader, caller)
    if seen is None:
        with app.database.transaction() as transaction:
            seen = storage.lock_cart(transaction, caller, app.settings.currency)
    billing = app.accounts.billing_facts(billing_address_id) if billing_address_id is not None else None
    prices = app.catalog.price_lines(seen.skus, seen.currency, billing.taxed_in if billing else None)
    cart = refreshed(seen, prices.products)
    if _products(cart) != _products(seen):
        with app.database.transaction() as transaction:
            stored = storage.lock_cart(transaction, caller, seen.currency)
            if stored.currency == seen.currency:  # else the prices are not this cart's any more
                cart = storage.save_cart(transaction, stored, refreshed(stored, prices.products))
    return cart_view(cart, prices.terms_version, exempted(prices.tax, billing.tax_certificate if billing else None))


def _products(cart: Cart) -> list[object]:
    return [line.product for line in cart.lines]
