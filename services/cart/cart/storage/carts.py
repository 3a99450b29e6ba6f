"""Queries of carts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from cart.domain.cart import Cart, Line
from cart.domain.order import OrderLine
from cart.domain.products import Product
from cart.storage.tables import CART, CART_LINE, FAILURE
from chassis.identity import Identity
from chassis.persistence import (
    Reader,
    Row,
    Statement,
    Transaction,
    UtcDateTimeColumn,
)
from chassis.persistence.idempotency import ANSWER_COLUMNS, IS_KEY
from chassis.persistence.tables import IDEMPOTENCY_KEY
from kernel.ids import new_id
from kernel.money import Money

_CART_LINE_COLUMNS = [column for column in CART_LINE.c if column.name != "cart_id"]


_OWN_CART = (CART.c.organization_id == sa.bindparam("organization_id"), CART.c.user_id == sa.bindparam("user_id"))


_CART_COLUMNS = (CART.c.id.label("of_cart"), CART.c.version, CART.c.currency, *_CART_LINE_COLUMNS)


_READ_CART = Statement(
    sa.select(*_CART_COLUMNS)
    .select_from(CART.outerjoin(CART_LINE, CART_LINE.c.cart_id == CART.c.id))
    .where(*_OWN_CART)
    .order_by(CART_LINE.c.id)
)


_SUBJECTS = ("organization", "user", "address")


_LOOK_UP = Statement(
    sa.select(
        *ANSWER_COLUMNS,
        *(
            sa.select(FAILURE.c.failed_at).where(FAILURE.c.subject == sa.bindparam(name)).scalar_subquery().label(name)
            for name in _SUBJECTS
        ),
        *_CART_COLUMNS,
    )
    .select_from(
        sa.select(sa.literal(1).label("always")).subquery()
        .outerjoin(IDEMPOTENCY_KEY, IS_KEY)
        .outerjoin(CART, sa.and_(*_OWN_CART))
        .outerjoin(CART_LINE, CART_LINE.c.cart_id == CART.c.id)
    )
    .order_by(CART_LINE.c.id)
)  # fmt: skip


_LOCK_CART = Statement(sa.select(CART.c.id).where(*_OWN_CART).with_for_update())


_CHANGE_CART_LINE = Statement(
    sa.update(CART_LINE)
    .where(CART_LINE.c.id == sa.bindparam("line_id"))
    .values({column.name: sa.bindparam(column.name) for column in _CART_LINE_COLUMNS if column.name != "id"})
)


_REMOVE_CART_LINE = Statement(sa.delete(CART_LINE).where(CART_LINE.c.id == sa.bindparam("line_id")))


_BUMP_VERSION = Statement(
    sa.update(CART)
    .where(CART.c.id == sa.bindparam("cart_id"))
    .values(version=CART.c.version + 1, updated_at=sa.bindparam("now", type_=UtcDateTimeColumn))
)


def read_cart(reader: Reader, owner: Identity) -> Cart | None:
    """The user's open cart with its lines, in one statement; None if there has never been one."""
    return _cart(reader.all(_READ_CART, organization_id=owner.organization_id, user_id=owner.user_id))


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What an order begins with.

    Args:
        key: for `answer_of`.
        cart: the user's.
        failures: of who asks, for `Throttle.check_counted`.
    """

    key: Row
    cart: Cart | None
    failures: tuple[str | None, ...]


def look_up(reader: Reader, owner: Identity, key: str, subjects: Sequence[str]) -> LookedUp:
    """What is known of an Idempotency-Key of the user's organisation, the user's cart, and declined cards by their
    three subjects (organisation, user, address), in one statement.
    """
    rows = reader.all(
        _LOOK_UP, scope=owner.organization_id, key=key, organization_id=owner.organization_id, user_id=owner.user_id,
        **dict(zip(_SUBJECTS, subjects, strict=True)),
    )  # fmt: skip
    first = rows[0]
    return LookedUp(first, _cart(rows), tuple(first[name] for name in _SUBJECTS))


def _cart(rows: Sequence[Row]) -> Cart | None:
    if not rows or rows[0]["of_cart"] is None:
        return None
    first = rows[0]
    lines = tuple(_cart_line(row) for row in rows if row["id"] is not None)
    return Cart(first["of_cart"], first["version"], first["currency"], lines)


def lock_cart(transaction: Transaction, owner: Identity, currency: str) -> Cart:
    """The user's open cart, which nobody else changes until the transaction ends; made if there is none.

    The lines are read after the lock is held: a join in the locking statement could give older ones.
    """
    cart = _locked_cart(transaction, owner)
    if cart is None:
        transaction.insert_new(
            CART,
            {"id": new_id("crt"), "organization_id": owner.organization_id, "user_id": owner.user_id,
             "currency": currency, "version": 0, "updated_at": transaction.now},
        )  # fmt: skip
        cart = _locked_cart(transaction, owner)
    if cart is None:
        raise RuntimeError("a cart that was just made is gone")
    return cart


def _locked_cart(transaction: Transaction, owner: Identity) -> Cart | None:
    transaction.write(_LOCK_CART, organization_id=owner.organization_id, user_id=owner.user_id)
    return read_cart(transaction, owner)


def change_currency(transaction: Transaction, cart: Cart, currency: str) -> Cart:
    """Have a locked, empty cart in another currency."""
    transaction.execute(sa.update(CART).where(CART.c.id == cart.id).values(currency=currency))
    return replace(cart, currency=currency)


def save_cart(transaction: Transaction, before: Cart, after: Cart) -> Cart:
    """Store what changed of a locked cart. The version grows only if a line was added, changed or removed.

    Returns:
        The cart as stored.
    """
    old = {line.id: line for line in before.lines}
    new = {line.id: line for line in after.lines}
    # removed first: a line that takes the place of another may then have its values
    remove_cart_lines(transaction, [line_id for line_id in old if line_id not in new])
    for line in after.lines:
        values = _cart_line_values(line)
        if line.id not in old:
            transaction.insert(CART_LINE, {"cart_id": after.id, **values})
        elif values != _cart_line_values(old[line.id]):
            transaction.write(_CHANGE_CART_LINE, line_id=values.pop("id"), **values)
    if [_choices(line) for line in before.lines] == [_choices(line) for line in after.lines]:
        return after
    bump_version(transaction, after.id)
    return replace(after, version=before.version + 1)


def remove_cart_lines(transaction: Transaction, line_ids: Sequence[str]) -> None:
    """Remove lines of a locked cart."""
    for line_id in line_ids:
        transaction.write(_REMOVE_CART_LINE, line_id=line_id)


def lower_cart_lines(transaction: Transaction, lines: Iterable[OrderLine]) -> None:
    """Take ordered pieces off lines of a locked cart; a line of which nothing is left goes."""
    for line in lines:
        is_it = CART_LINE.c.id == line.cart_line_id
        left = sa.update(CART_LINE).where(is_it, CART_LINE.c.quantity > line.quantity)
        if not transaction.execute(left.values(quantity=CART_LINE.c.quantity - line.quantity)).rowcount:
            transaction.execute(sa.delete(CART_LINE).where(is_it))


def bump_version(transaction: Transaction, cart_id: str) -> None:
    """Have the ETag of a locked cart change."""
    transaction.write(_BUMP_VERSION, cart_id=cart_id, now=transaction.now)


def _cart_line(row: Row) -> Line:
    product = Product(
        sku=row["sku"],
        name=row["name"],
        kind=row["kind"],
        credits=row["credits"],
        needs_deployment=row["needs_deployment"],
        max_quantity=row["max_quantity"],
        unit_price=Money(row["unit_price_minor"], row["currency"]),
    )
    return Line(row["id"], product, row["quantity"], row["deployment_id"], row["credit_destination"])


def _choices(line: Line) -> tuple[Any, ...]:
    return line.id, line.quantity, line.key


def _cart_line_values(line: Line) -> dict[str, Any]:
    product = line.product
    return {
        "id": line.id,
        "sku": product.sku,
        "quantity": line.quantity,
        "deployment_id": line.deployment_id,
        "credit_destination": line.credit_destination,
        "name": product.name,
        "kind": product.kind,
        "credits": product.credits,
        "needs_deployment": product.needs_deployment,
        "max_quantity": product.max_quantity,
        "unit_price_minor": product.unit_price.amount_minor,
    }
