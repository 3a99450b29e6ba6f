"""What is checked before an order is placed (mission, clauses 7 to 11, 17, 29), and the order that results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cart.domain.cart import Cart, Line, Problem, refuse
from cart.domain.order import QUOTE, OrderLine
from cart.domain.products import Deployment
from cart.domain.tax import Tax, tax_on, tax_on_lines
from kernel.errors import FieldError, Kind, Refusal, conflict, invalid
from kernel.money import Money

_DETAILS = {
    "deployment": "Choose the deployment that {name} is for.",
    "credit_destination": "Choose where the credits of {name} go: organization or support_card.",
}
_FIELDS = {"deployment": "deployment_id", "credit_destination": "credit_destination"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer asks for with Process Order.

    Args:
        payment: ``{"method", "payment_method_id", "provider_token"}``.
        accept_terms: the version of the terms that the buyer ticked.
        expected_total: what the buyer saw as the total; None if the client does not say.
        billing_address_id: of the address book.
    """

    payment: Mapping[str, Any]
    accept_terms: str | None
    expected_total: Money | None
    billing_address_id: str | None


@dataclass(frozen=True, slots=True)
class Payment:
    """How an order is to be paid.

    Args:
        method: ``card``, ``wire``, ``check`` or ``quote``.
        provider_token: of the card; None for a saved one, and for the others.
        payment_method_id: the saved card.
        save: whether the card of the token is to be saved once it is charged.
    """

    method: str
    provider_token: str | None
    payment_method_id: str | None = None
    save: bool = False


def check_payment(payment: Mapping[str, Any], *, may_quote: bool = False) -> Payment:
    """How to pay.

    Args:
        payment: ``{"method", "payment_method_id", "provider_token"}``, and ``save`` perhaps.
        may_quote: whether a quote may be asked for instead.

    Raises:
        Refusal: `payment_method_unavailable`, `provider_token_required`, `provider_token_unexpected`,
            `payment_method_unexpected`, `save_unexpected`.
    """
    method: str = payment["method"]
    token: str | None = payment.get("provider_token")
    if method == QUOTE and not may_quote:
        raise invalid("payment_method_unavailable", "Choose how to pay: card, wire or check.", "payment.method")
    saved: str | None = payment.get("payment_method_id")
    if method == "card" and token is None and saved is None:
        raise invalid(
            "provider_token_required",
            "Choose a saved card, or send the one-time token that the payment provider gave for the card.",
            "payment.provider_token",
        )
    if token is not None and (method != "card" or saved is not None):
        what = "a saved card is charged" if method == "card" else f"nothing is charged by {method}"
        raise invalid("provider_token_unexpected", f"Leave the token out: {what}.", "payment.provider_token")
    if saved is not None and method != "card":
        raise invalid(
            "payment_method_unexpected", f"Nothing is charged by {method}: leave the saved card out.",
            "payment.payment_method_id",
        )  # fmt: skip
    save = bool(payment.get("save"))
    if save and token is None:
        raise invalid("save_unexpected", "Only a card that is entered now can be saved.", "payment.save")
    return Payment(method, token, saved, save)


def check_not_empty(cart: Cart | None) -> Cart:
    """The cart, if there is anything in it.

    Raises:
        Refusal: `cart_empty`.
    """
    if cart is None or not cart.lines:
        raise conflict("cart_empty", "There is nothing in your cart to order.")
    return cart


def check(
    seen: Cart,
    current: Cart,
    deployments: Mapping[str, Deployment],
    terms_version: str,
    wish: Wish,
    tax: Tax | None = None,
) -> None:
    """Refuse what may not be ordered. Nothing has been written or charged by then.

    Args:
        seen: the cart with the prices that the buyer last saw.
        current: the same cart with the products as catalog sells them now.
        deployments: those of the cart that the caller may see.
        terms_version: the current one.
        wish: what the buyer asked for.
        tax: on the order.

    Raises:
        Refusal: invalid, with every wrong field; or `price_changed`.
    """
    found = [
        Problem(problem.code, f"lines.{number}.{problem.field}", problem.detail)
        for number, line in enumerate(current.lines)
        for problem in _line_problems(line, deployments)
    ]
    if wish.accept_terms != terms_version:
        found.append(
            Problem("terms_not_accepted", "accept_terms", f"Read and accept the terms of version {terms_version}.")
        )
    refuse(found)
    _check_price(seen, current, wish.expected_total, tax)


def freeze(cart: Cart, new_id: Callable[[], str], tax: Tax | None = None) -> tuple[OrderLine, ...]:
    """The lines as the order keeps them.

    Args:
        cart: checked, at current prices.
        new_id: makes the id of a line.
        tax: on each line.
    """
    return tuple(
        OrderLine(
            id=new_id(),
            position=position,
            cart_line_id=line.id,
            sku=line.product.sku,
            name=line.product.name,
            kind=line.product.kind,
            quantity=line.quantity,
            unit_price_minor=line.product.unit_price.amount_minor,
            total_minor=line.total.amount_minor,
            credits=line.product.credits,
            deployment_id=line.deployment_id,
            credit_destination=line.credit_destination,
            awaits_credits=line.product.credits > 0,
            awaits_binding=line.deployment_id is not None,
            tax_minor=tax_on(line.total, tax).amount_minor,
            term_months=line.product.term_months,
            credits_valid_days=line.product.credits_valid_days,
        )
        for position, line in enumerate(cart.lines)
    )


def _line_problems(line: Line, deployments: Mapping[str, Deployment]) -> Iterator[Problem]:
    if not line.available:
        yield Problem("product_unavailable", "sku", f"{line.product.name} is no longer sold. Remove it.")
        return
    for missing in line.missing:
        yield Problem(f"{missing}_required", _FIELDS[missing], _DETAILS[missing].format(name=line.product.name))
    yield from line.wrong()
    if line.product.needs_deployment and line.deployment_id is not None:
        deployment = deployments.get(line.deployment_id)
        if deployment is None:
            yield Problem("deployment_not_found", "deployment_id", "There is no such deployment. Choose another one.")
        elif not deployment.active:
            yield Problem("deployment_retired", "deployment_id", "This deployment is retired. Choose another one.")


def _check_price(seen: Cart, current: Cart, expected_total: Money | None, tax: Tax | None) -> None:
    """Who says what total they saw is held to it with its tax; who does not, to the prices that they were shown."""
    if expected_total is not None and expected_total.currency != current.currency:
        raise Refusal(
            Kind.INVALID, "currency_differs", f"The cart is in {current.currency}.",
            [FieldError("expected_total.currency", f"Must be {current.currency}.")],
        )  # fmt: skip
    old, new = seen.total, current.total
    if expected_total is not None:
        old = expected_total
        new += tax_on_lines((line.total for line in current.lines), tax, current.currency)
    if new > old:  # a rise is refused, a fall is granted
        raise conflict(
            "price_changed",
            f"The price has risen from {old} to {new}. Look at the cart again, then order.",
            {"old": old.as_dict(), "new": new.as_dict()},
        )
