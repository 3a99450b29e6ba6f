"""The cart: lines that merge only if sku, deployment and credit destination agree (mission, clauses 5 to 11).

Every verb takes a cart and gives back the changed one; nothing here asks anybody or stores anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cart.domain.products import Deployment, Product
from kernel.errors import FieldError, Kind, Refusal, conflict, invalid, not_found
from kernel.money import Money

#: Where the credits of a line go: to the buyer's organisation, or on a support credit card for the buyer to pass on.
DESTINATIONS = ("organization", "support_card")
#: Lines in one cart at most, so that an order stays one message and one mail.
MAX_LINES = 100


class Problem(NamedTuple):
    """One thing that is wrong with a line: a stable code, the field, and what to do about it."""

    code: str
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a cart.

    Args:
        id: the line's.
        product: as the buyer last saw it, price included.
        quantity: pieces.
        deployment_id: what a contract or licence is for; None if not chosen or not needed.
        credit_destination: one of `DESTINATIONS`; None if not chosen or nothing to send.
        available: False if catalog no longer sells the product.
    """

    id: str
    product: Product
    quantity: int
    deployment_id: str | None = None
    credit_destination: str | None = None
    available: bool = True

    @property
    def key(self) -> tuple[str, str | None, str | None]:
        """Lines with the same key are one line."""
        return self.product.sku, self.deployment_id, self.credit_destination

    @property
    def total(self) -> Money:
        """The price of all pieces."""
        return self.product.unit_price * self.quantity

    @property
    def missing(self) -> list[str]:
        """What must still be chosen before the line can be ordered: ``deployment``, ``credit_destination``."""
        found = []
        if self.product.needs_deployment and self.deployment_id is None:
            found.append("deployment")
        if self.product.credits and self.credit_destination is None:
            found.append("credit_destination")
        return found

    def wrong(self) -> Iterator[Problem]:
        """What may not be, whether in a cart or in an order."""
        most = self.product.max_quantity
        if not 1 <= self.quantity <= most:
            yield Problem("quantity_out_of_range", "quantity", f"Order 1 to {most} pieces of {self.product.name}.")
        if self.deployment_id is not None and not self.product.needs_deployment:
            yield Problem(
                "deployment_not_allowed", "deployment_id", f"{self.product.name} is not bound to a deployment."
            )
        if self.credit_destination is not None and not self.product.credits:
            yield Problem(
                "credit_destination_not_allowed", "credit_destination", f"{self.product.name} brings no credits."
            )


@dataclass(frozen=True, slots=True)
class Cart:
    """One user's open cart.

    Args:
        id: the cart's.
        version: grows with every change of the lines; the ETag.
        currency: of every price in it.
        lines: oldest first.
    """

    id: str
    version: int
    currency: str
    lines: tuple[Line, ...] = ()

    @property
    def total(self) -> Money:
        """The sum of the lines."""
        return sum((line.total for line in self.lines), Money(0, self.currency))

    @property
    def skus(self) -> list[str]:
        """The products in it, each once."""
        return sorted({line.product.sku for line in self.lines})

    @property
    def deployment_ids(self) -> list[str]:
        """The deployments in it, each once."""
        return sorted({line.deployment_id for line in self.lines if line.deployment_id is not None})

    def line(self, line_id: str) -> Line:
        """A line by its id.

        Raises:
            Refusal: `not_found`.
        """
        for line in self.lines:
            if line.id == line_id:
                return line
        raise not_found("line in your cart")

    def check_version(self, if_match: int | None) -> None:
        """Refuse a change by somebody who has not seen the cart as it is.

        Raises:
            Refusal: `stale_cart`.
        """
        if if_match is not None and if_match != self.version:
            raise Refusal(
                Kind.PRECONDITION_FAILED, "stale_cart", "The cart has changed since you read it. Read it again.",
                extra={"version": self.version},
            )  # fmt: skip


def refreshed(cart: Cart, products: Mapping[str, Product]) -> Cart:
    """The cart with products as catalog sells them now; what it no longer sells keeps its last price, unavailable."""
    return replace(
        cart,
        lines=tuple(
            replace(line, product=products[line.product.sku], available=True)
            if line.product.sku in products
            else replace(line, available=False)
            for line in cart.lines
        ),
    )


def add_line(cart: Cart, line: Line) -> Cart:
    """Add a line; it joins the one with the same sku, deployment and credit destination, if there is one.

    Raises:
        Refusal: a value may not be; `cart_full`.
    """
    changed = _with(cart, line)
    if len(changed.lines) > MAX_LINES:
        raise conflict("cart_full", f"A cart holds {MAX_LINES} lines at most. Order these first.")
    return changed


def change_line(cart: Cart, line_id: str, changes: Mapping[str, Any]) -> Cart:
    """Change quantity, deployment or credit destination of a line; if it then equals another, they become one.

    Raises:
        Refusal: `not_found`; a value may not be.
    """
    line = cart.line(line_id)
    changed = replace(line, **changes)
    return cart if changed == line else _with(cart, changed)


def remove_line(cart: Cart, line_id: str) -> Cart:
    """The cart without the line.

    Raises:
        Refusal: `not_found`.
    """
    gone = cart.line(line_id)
    return replace(cart, lines=tuple(line for line in cart.lines if line is not gone))


def apply_deployment(cart: Cart, deployment_id: str) -> tuple[Cart, list[str], list[tuple[str, str]]]:
    """Apply to All: set the deployment on every line that needs one.

    Returns:
        The cart, the ids of the lines that have the deployment now, and the skipped lines with a reason each:
        ``deployment_not_needed``, ``product_unavailable``, or ``quantity_out_of_range`` (it would join another line
        and be too many pieces).
    """
    applied: list[str] = []
    skipped: list[tuple[str, str]] = []
    for line in cart.lines:  # the lines as they were: `cart` changes below
        if all(line.id != left.id for left in cart.lines):
            continue  # has joined another line
        reason = _reason_to_skip(line)
        if reason is None:
            try:
                cart = change_line(cart, line.id, {"deployment_id": deployment_id})
                applied.append(line.id)
            except Refusal as refusal:
                reason = refusal.code
        if reason is not None:
            skipped.append((line.id, reason))
    left_ids = {line.id for line in cart.lines}
    return cart, [line_id for line_id in applied if line_id in left_ids], skipped


def check_deployment(deployment_id: str, visible: Mapping[str, Deployment]) -> None:
    """Refuse a deployment that a line may not name.

    Raises:
        Refusal: `not_found` for one that does not exist or is somebody else's; `deployment_retired`.
    """
    if deployment_id not in visible:
        raise not_found("deployment")
    if not visible[deployment_id].active:
        raise invalid("deployment_retired", "This deployment is retired. Choose another one.", "deployment_id")


def check_currency(cart: Cart, currency: str) -> None:
    """Refuse to mix currencies: a cart is paid in one.

    Raises:
        Refusal: `cart_currency_differs`.
    """
    if currency != cart.currency:
        raise conflict(
            "cart_currency_differs",
            f"Your cart is in {cart.currency}. Order or remove what is in it before you buy in {currency}.",
            {"currency": cart.currency},
        )


def refuse(problems: Sequence[Problem]) -> None:
    """Refuse if anything is wrong: the code of the first problem, and every field.

    Raises:
        Refusal: kind invalid.
    """
    if problems:
        first = problems[0]
        errors = [FieldError(problem.field, problem.detail) for problem in problems]
        raise Refusal(Kind.INVALID, first.code, first.detail, errors)


def _reason_to_skip(line: Line) -> str | None:
    if not line.available:
        return "product_unavailable"
    return None if line.product.needs_deployment else "deployment_not_needed"


def _with(cart: Cart, line: Line) -> Cart:
    others = [other for other in cart.lines if other.id != line.id]
    twin = next((other for other in others if other.key == line.key), None)
    if twin is not None:
        others.remove(twin)
        # The line that was asked for keeps its id, so that whoever holds it can go on; a new one joins the old.
        is_new = all(other.id != line.id for other in cart.lines)
        line = replace(line, id=twin.id if is_new else line.id, quantity=twin.quantity + line.quantity)
    refuse(list(line.wrong()))
    return replace(cart, lines=tuple(sorted([*others, line], key=lambda each: each.id)))
