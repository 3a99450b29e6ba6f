"""The way of every change of a cart: lock, check, change and store in one transaction, at prices that were looked up
before. Nearly always they were a moment ago; else the first try only finds out what to ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.clients import PriceList
from cart.domain.cart import Cart, check_currency, check_deployment, refreshed
from cart.use_cases.views import BUYERS, cart_view
from chassis.identity import Identity

Change = Callable[[Cart, PriceList], Cart]
_PricesOf = Callable[[Sequence[str], str], PriceList | None]


class _PricesUnknownError(Exception):
    """Catalog must be asked, which it cannot be inside a transaction: this one ends without a change."""

    def __init__(self, skus: Sequence[str], currency: str) -> None:
        self.skus = skus
        self.currency = currency


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be done to a cart, to which version, and a product that it needs beyond those in the cart."""

    change: Change
    if_match: int | None
    sku: str | None


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
    if deployment_id is not None:
        check_deployment(deployment_id, app.accounts.check_deployments([deployment_id]))
    wish = _Wish(change, if_match, sku)
    try:
        return _change(app, caller, wish, currency, app.catalog.kept_prices)
    except _PricesUnknownError as unknown:
        prices = app.catalog.price_lines(unknown.skus, unknown.currency)
        return _change(app, caller, wish, unknown.currency, lambda _skus, _currency: prices)


def _change(app: App, caller: Identity, wish: _Wish, currency: str | None, prices_of: _PricesOf) -> dict[str, Any]:
    with app.database.transaction() as transaction:
        stored = storage.lock_cart(transaction, caller, currency or app.settings.currency)
        if currency is not None and stored.currency != currency:
            if stored.lines:
                check_currency(stored, currency)
            stored = storage.change_currency(transaction, stored, currency)
        skus = sorted({*stored.skus, *([wish.sku] if wish.sku else ())})
        prices = prices_of(skus, stored.currency)
        if prices is None:
            raise _PricesUnknownError(skus, stored.currency)
        stored.check_version(wish.if_match)
        cart = storage.save_cart(transaction, stored, wish.change(refreshed(stored, prices.products), prices))
    return cart_view(cart, prices.terms_version)
