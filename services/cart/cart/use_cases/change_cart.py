"""The way of every change of a cart: look up prices first, then lock, check, change and store in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.clients import PriceList
from cart.domain.cart import Cart, check_currency, check_deployment, refreshed
from cart.use_cases.views import BUYERS, cart_view
from chassis.identity import Identity

Change = Callable[[Cart, PriceList], Cart]


def change_cart(
    app: App,
    caller: Identity,
    change: Change,
    *,
    if_match: int | None,
    sku: str | None = None,
    deployment_id: str | None = None,
    currency: str | None = None,
) -> dict[str, Any]:
    """Change the caller's cart.

    Args:
        app: the parts.
        caller: whose cart.
        change: what becomes of the cart, given current prices; it may refuse.
        if_match: the version that the caller has seen; None for any.
        sku: a product that is not in the cart yet.
        deployment_id: one that the change names; it must be visible to the caller and active.
        currency: the one to buy in, if the caller says; only an empty cart takes another one than it has.

    Returns:
        The cart as it is then.

    Raises:
        Refusal: `forbidden`, `stale_cart`, `not_found`, `deployment_retired`, `cart_currency_differs`, `unavailable`;
            what `change` refuses.
    """
    caller.require(*BUYERS)
    with app.database.reading() as reader:
        seen = storage.read_cart(reader, caller)
    currency = currency or (seen.currency if seen else app.settings.currency)
    if seen is not None and seen.lines:
        check_currency(seen, currency)
    skus = {*(seen.skus if seen else ()), *([sku] if sku else ())}
    prices = app.catalog.recent_prices(sorted(skus), currency)
    if deployment_id is not None:
        check_deployment(deployment_id, app.accounts.check_deployments([deployment_id]))
    with app.database.transaction() as transaction:
        stored = storage.lock_cart(transaction, caller, currency)
        if stored.currency != currency:
            if stored.lines:  # they came while prices were asked
                check_currency(stored, currency)
            stored = storage.change_currency(transaction, stored, currency)
        stored.check_version(if_match)
        cart = storage.save_cart(transaction, stored, change(refreshed(stored, prices.products), prices))
    return cart_view(cart, prices.terms_version)
