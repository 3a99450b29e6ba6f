"""Tables and queries. It only stores: what may be is decided in `cart.domain`, and guarded here by constraints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from cart.domain.cart import Cart, Line
from cart.domain.dispute import Dispute, DisputeState
from cart.domain.order import Order, OrderLine, State, sources
from cart.domain.products import Product
from cart.domain.refund import UNDER_WAY, VAIN, Refund, RefundState, TakenBack
from cart.domain.refund import sources as refund_sources
from chassis.identity import Identity
from chassis.persistence import (
    IntegrityError,
    Reader,
    Row,
    Statement,
    Transaction,
    UtcDateTimeColumn,
    add_messaging_tables,
)
from chassis.persistence.idempotency import ANSWER_COLUMNS, IS_KEY
from chassis.persistence.paging import page
from chassis.persistence.statements import any_of, one_of, violates
from chassis.persistence.tables import IDEMPOTENCY_KEY
from chassis.persistence.throttle import failure_table
from kernel.clock import CLOCKS_DIFFER
from kernel.ids import new_id
from kernel.money import Money

METADATA = sa.MetaData()
add_messaging_tables(METADATA)

_DESTINATION = "credit_destination IN ('organization', 'support_card')"
#: One card payment at a time per cart: a second order cannot pay for the same lines while the first is under way.
_PAYMENT_UNDER_WAY = "state = 'pending_payment' AND problem IS NULL"
#: An order that was to be paid by wire or check, or was made from a quote, has its lines already: it does not keep
#: others from the cart.
_CART_IS_BEING_PAID = f"{_PAYMENT_UNDER_WAY} AND instructions IS NULL AND quote_id IS NULL"
_OPEN_QUOTE = "kind = 'quote' AND state = 'open'"
#: A quote becomes one order, whoever asks at once; one that was cancelled unpaid gave the quote back.
_MADE_FROM_QUOTE = "quote_id IS NOT NULL AND state <> 'cancelled'"

#: Declined cards of late, by who sent them.
FAILURE = failure_table(METADATA)

CART = sa.Table(
    "cart",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
    sa.UniqueConstraint("organization_id", "user_id", name="cart_one_per_user"),
    sa.CheckConstraint("version >= 0", name="cart_version_counts"),
)

CART_LINE = sa.Table(
    "cart_line",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("cart_id", sa.String(64), sa.ForeignKey("cart.id"), nullable=False),
    sa.Column("sku", sa.String(64), nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("deployment_id", sa.String(64)),
    sa.Column("credit_destination", sa.String(20)),
    # the product as the buyer last saw it
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("credits", sa.Integer, nullable=False),
    sa.Column("needs_deployment", sa.Boolean, nullable=False),
    sa.Column("max_quantity", sa.Integer, nullable=False),
    sa.Column("unit_price_minor", sa.BigInteger, nullable=False),
    sa.CheckConstraint("quantity > 0", name="cart_line_quantity"),
    sa.CheckConstraint("unit_price_minor >= 0", name="cart_line_price"),
    sa.CheckConstraint(f"credit_destination IS NULL OR {_DESTINATION}", name="cart_line_destination"),
)
sa.Index(
    "cart_line_key",
    CART_LINE.c.cart_id,
    CART_LINE.c.sku,
    sa.func.coalesce(CART_LINE.c.deployment_id, ""),
    sa.func.coalesce(CART_LINE.c.credit_destination, ""),
    unique=True,
)

ORDER_NUMBER = sa.Table(
    "order_number",
    METADATA,
    sa.Column("serial", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("taken_at", UtcDateTimeColumn, nullable=False),
)

ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("organization_name", sa.String(200), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("buyer_email", sa.String(320), nullable=False),
    sa.Column("buyer_name", sa.String(200), nullable=False),
    sa.Column("buyer_language", sa.String(20), nullable=False),
    sa.Column("cart_id", sa.String(64), sa.ForeignKey("cart.id"), nullable=False),
    sa.Column("cart_version", sa.Integer, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("subtotal_minor", sa.BigInteger, nullable=False),
    sa.Column("tax_minor", sa.BigInteger, nullable=False),
    sa.Column("total_minor", sa.BigInteger, nullable=False),
    sa.Column("payment_method", sa.String(10), nullable=False),
    sa.Column("provider_token", sa.String(255)),  # one-time; forgotten as soon as the payment has ended
    sa.Column("purchase_order_number", sa.String(64)),
    sa.Column("terms_version", sa.String(40), nullable=False),
    sa.Column("terms_accepted_at", UtcDateTimeColumn, nullable=False),
    sa.Column("client_address", sa.String(64), nullable=False),
    sa.Column("idempotency_key", sa.String(255), nullable=False),
    sa.Column("placed_at", UtcDateTimeColumn, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", UtcDateTimeColumn, nullable=False),
    sa.Column("intent_id", sa.String(64)),
    sa.Column("card_brand", sa.String(20)),
    sa.Column("card_last4", sa.String(4)),
    sa.Column("paid_at", UtcDateTimeColumn),
    sa.Column("fulfilled_at", UtcDateTimeColumn),
    sa.Column("cancelled_at", UtcDateTimeColumn),
    sa.Column("cancel_reason", sa.String(64)),
    sa.Column("problem", sa.String(64)),  # set: a person must look at it, and nothing is tried any more
    sa.Column("cancel_requested_at", UtcDateTimeColumn),  # set: its payment is given up, not pursued
    sa.Column("instructions", sa.JSON(none_as_null=True)),
    sa.Column("expires_at", UtcDateTimeColumn),
    sa.Column("received_minor", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("attempt_id", sa.String(64)),
    sa.Column("change_key", sa.String(255)),
    sa.Column("quote_id", sa.String(64), sa.ForeignKey("orders.id")),
    sa.Column("time_zone", sa.String(64)),
    sa.Column("converted_to", sa.String(64)),
    sa.Column("reminded_at", UtcDateTimeColumn),
    sa.Column("next_action", sa.JSON(none_as_null=True)),
    sa.Column("payment_round", sa.Integer, nullable=False, server_default="0"),
    sa.Column("billing_address", sa.JSON(none_as_null=True)),
    sa.Column("tax_name", sa.String(40)),
    sa.Column("tax_rate_ppm", sa.Integer),
    sa.Column("tax_certificate", sa.String(100)),
    sa.Column("payment_method_id", sa.String(64)),
    sa.Column("save_card", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("number", name="orders_number"),
    sa.CheckConstraint("kind IN ('order', 'quote')", name="orders_kind"),
    sa.CheckConstraint(
        "state IN ('pending_payment', 'awaiting_payment', 'paid', 'fulfilled', 'cancelled', 'refunded', "
        "'partially_refunded', 'open', 'converted', 'expired')",
        name="orders_state",
    ),
    sa.CheckConstraint(
        "CASE WHEN kind = 'quote' THEN state IN ('open', 'converted', 'expired', 'cancelled') "
        "AND expires_at IS NOT NULL AND time_zone IS NOT NULL AND quote_id IS NULL "
        "ELSE state NOT IN ('open', 'converted', 'expired') END",
        name="orders_quote",
    ),
    sa.CheckConstraint(
        "CASE WHEN tax_rate_ppm IS NULL THEN tax_minor = 0 AND tax_name IS NULL ELSE tax_name IS NOT NULL END",
        name="orders_tax_has_a_rate",
    ),
    sa.CheckConstraint("(state = 'converted') = (converted_to IS NOT NULL)", name="orders_converted_to"),
    sa.CheckConstraint("payment_method IN ('card', 'wire', 'check', 'quote')", name="orders_payment_method"),
    sa.CheckConstraint("(kind = 'quote') = (payment_method = 'quote')", name="orders_quote_is_not_paid"),
    sa.CheckConstraint(
        "subtotal_minor >= 0 AND tax_minor >= 0 AND total_minor = subtotal_minor + tax_minor", name="orders_amounts"
    ),
    sa.CheckConstraint(
        "(paid_at IS NULL) = (state IN ('pending_payment', 'awaiting_payment', 'cancelled', 'open', 'converted', "
        "'expired'))",
        name="orders_paid_at",
    ),
    sa.CheckConstraint("state <> 'fulfilled' OR fulfilled_at IS NOT NULL", name="orders_fulfilled_at"),
    sa.CheckConstraint(
        "(state = 'cancelled') = (cancelled_at IS NOT NULL AND cancel_reason IS NOT NULL)", name="orders_cancelled_at"
    ),
    sa.Index("orders_list", "organization_id", "id"),
    sa.Index(
        "orders_one_payment_under_way",
        "cart_id",
        unique=True,
        sqlite_where=sa.text(_CART_IS_BEING_PAID),
        postgresql_where=sa.text(_CART_IS_BEING_PAID),
    ),
    sa.Index(
        "orders_to_resume",
        "next_attempt_at",
        sqlite_where=sa.text(_PAYMENT_UNDER_WAY),
        postgresql_where=sa.text(_PAYMENT_UNDER_WAY),
    ),
    sa.Index(
        "orders_one_per_quote",
        "quote_id",
        unique=True,
        sqlite_where=sa.text(_MADE_FROM_QUOTE),
        postgresql_where=sa.text(_MADE_FROM_QUOTE),
    ),
    sa.Index(
        "orders_open_quotes",
        "expires_at",
        sqlite_where=sa.text(_OPEN_QUOTE),
        postgresql_where=sa.text(_OPEN_QUOTE),
    ),
)

ORDER_LINE = sa.Table(
    "order_line",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("cart_line_id", sa.String(64), nullable=False),
    sa.Column("sku", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("unit_price_minor", sa.BigInteger, nullable=False),
    sa.Column("total_minor", sa.BigInteger, nullable=False),
    sa.Column("credits", sa.Integer, nullable=False),
    sa.Column("deployment_id", sa.String(64)),
    sa.Column("credit_destination", sa.String(20)),
    # fulfilment: the only columns that change (a trigger refuses the rest)
    sa.Column("awaits_credits", sa.Boolean, nullable=False),
    sa.Column("awaits_binding", sa.Boolean, nullable=False),
    sa.Column("tax_minor", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("term_months", sa.Integer),
    sa.Column("credits_valid_days", sa.Integer),
    sa.CheckConstraint("term_months > 0 AND credits_valid_days >= 0", name="order_line_terms"),
    sa.UniqueConstraint("order_id", "position", name="order_line_position"),
    sa.CheckConstraint("quantity > 0", name="order_line_quantity"),
    sa.CheckConstraint(
        "unit_price_minor >= 0 AND total_minor = unit_price_minor * quantity", name="order_line_amounts"
    ),
    sa.CheckConstraint("tax_minor >= 0", name="order_line_tax"),
    sa.CheckConstraint("credits >= 0", name="order_line_credits"),
    sa.CheckConstraint(f"credit_destination IS NULL OR {_DESTINATION}", name="order_line_destination"),
    sa.CheckConstraint("(credits > 0) = (credit_destination IS NOT NULL)", name="order_line_credits_go_somewhere"),
)

_REFUND_UNDER_WAY = "state IN ('taking_back', 'returning_money')"
_REFUND_ACTIVE = "state IN ('awaiting_approval', 'taking_back', 'returning_money', 'awaiting_payout')"

REFUND = sa.Table(
    "refund",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("reason", sa.String(400), nullable=False),
    sa.Column("claimed", sa.String(20), nullable=False),
    sa.Column("requested_by", sa.String(64), nullable=False),
    sa.Column("scope", sa.String(64), nullable=False),
    sa.Column("idempotency_key", sa.String(255), nullable=False),
    sa.Column("requested_at", UtcDateTimeColumn, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", UtcDateTimeColumn, nullable=False),
    sa.Column("ended_at", UtcDateTimeColumn),
    sa.Column("failure_code", sa.String(64)),
    # what credits said; null until it has taken its side
    sa.Column("taken_back_credits", sa.BigInteger),
    sa.Column("claimed_credits", sa.BigInteger),
    sa.Column("spent_credits", sa.BigInteger),
    sa.Column("expired_credits", sa.BigInteger),
    sa.Column("lines", sa.JSON(none_as_null=True)),  # pieces of which lines; else the rest, or money only
    sa.Column("money_only", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("left_minor", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("approved_by", sa.String(64)),
    sa.Column("decided_at", UtcDateTimeColumn),
    sa.CheckConstraint("amount_minor > 0", name="refund_amount"),
    sa.CheckConstraint(
        "state IN ('awaiting_approval', 'rejected', 'taking_back', 'returning_money', 'awaiting_payout', 'done', "
        "'refused', 'failed')",
        name="refund_state",
    ),
    sa.CheckConstraint("approved_by IS NULL OR approved_by <> requested_by", name="refund_second_person"),
    sa.CheckConstraint("claimed IN ('refuse', 'refund_anyway')", name="refund_claimed"),
    sa.CheckConstraint(
        "(state IN ('awaiting_approval', 'rejected', 'taking_back', 'refused')) = (taken_back_credits IS NULL)",
        name="refund_credits_come_first",
    ),
    sa.CheckConstraint(f"({_REFUND_ACTIVE}) = (ended_at IS NULL)", name="refund_ended_at"),
    sa.CheckConstraint(
        "(state IN ('rejected', 'refused', 'failed')) = (failure_code IS NOT NULL)", name="refund_failure_code"
    ),
    # one refund of an order at a time; what all of them may give back together is looked at under the order's lock
    sa.Index("refund_one_at_a_time", "order_id", unique=True, sqlite_where=sa.text(_REFUND_ACTIVE),
             postgresql_where=sa.text(_REFUND_ACTIVE)),
    sa.Index("refund_order", "order_id"),
    sa.Index("refund_to_resume", "next_attempt_at", sqlite_where=sa.text(_REFUND_UNDER_WAY),
             postgresql_where=sa.text(_REFUND_UNDER_WAY)),
)  # fmt: skip

#: The dispute of an order's payment. `told`: how it stood when the others were told last.
ORDER_DISPUTE = sa.Table(
    "order_dispute",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False, unique=True),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("captured_minor", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(64)),
    sa.Column("opened_at", UtcDateTimeColumn),
    sa.Column("closed_at", UtcDateTimeColumn),
    sa.Column("told", sa.String(10)),
    sa.CheckConstraint("state IN ('open', 'won', 'lost')", name="order_dispute_state"),
    sa.CheckConstraint("told IS NULL OR told IN ('open', state)", name="order_dispute_told"),
    sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="order_dispute_closed_at"),
    sa.CheckConstraint("state <> 'open' OR opened_at IS NOT NULL", name="order_dispute_opened_at"),
    sa.CheckConstraint("(opened_at IS NULL) = (reason IS NULL)", name="order_dispute_reason"),
    sa.CheckConstraint("amount_minor > 0 AND amount_minor <= captured_minor", name="order_dispute_amount"),
)

_DISPUTE_COLUMNS = [column.label(f"dispute_{column.name}") for column in ORDER_DISPUTE.c]
_ITS_DISPUTE = ORDER_DISPUTE.c.order_id == ORDERS.c.id
_WITH_DISPUTE: sa.Select[Any] = sa.select(ORDERS, *_DISPUTE_COLUMNS).outerjoin(ORDER_DISPUTE, _ITS_DISPUTE)

_CART_LINE_COLUMNS = [column for column in CART_LINE.c if column.name != "cart_id"]
_ORDER_LINE_COLUMNS = [column for column in ORDER_LINE.c if column.name != "order_id"]


# --- carts ---

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


# --- orders ---


_TAKE_SERIAL = Statement(
    sa.insert(ORDER_NUMBER)
    .from_select(
        ["taken_at"],
        sa.select(sa.bindparam("now", type_=UtcDateTimeColumn))
        .select_from(CART)
        .where(CART.c.id == sa.bindparam("cart_id"), CART.c.version == sa.bindparam("version"))
        .with_for_update(),
    )
    .returning(ORDER_NUMBER.c.serial)
)
_TAKE_QUOTED_SERIAL = Statement(
    sa.insert(ORDER_NUMBER)
    .values(taken_at=sa.bindparam("now", type_=UtcDateTimeColumn))
    .returning(ORDER_NUMBER.c.serial)
)
_LOCK_CART_BY_ID = Statement(sa.select(CART.c.id).where(CART.c.id == sa.bindparam("cart_id")).with_for_update())
_LOCK_ORDER = Statement(
    sa.select(ORDERS.c.id)
    .join_from(ORDERS, CART, CART.c.id == ORDERS.c.cart_id)
    .where(ORDERS.c.id == sa.bindparam("order_id"))
    .with_for_update()
)
_READ_ORDER = Statement(
    sa.select(
        *ORDERS.c,
        CART.c.version.label("version_of_cart"),
        *(column.label(f"line_{column.name}") for column in _ORDER_LINE_COLUMNS),
        *_DISPUTE_COLUMNS,
    )
    .join_from(ORDERS, CART, CART.c.id == ORDERS.c.cart_id)
    .join(ORDER_LINE, ORDER_LINE.c.order_id == ORDERS.c.id)
    .outerjoin(ORDER_DISPUTE, _ITS_DISPUTE)
    .where(ORDERS.c.id == sa.bindparam("order_id"))
    .order_by(ORDER_LINE.c.position)
)
_STANDS = Statement(
    sa.select(ORDERS.c.id, ORDERS.c.state, ORDERS.c.total_minor, ORDERS.c.currency).where(any_of(ORDERS.c.id, "ids"))
)
_LOCK_ORDERS = Statement(
    sa.select(ORDERS.c.id).where(any_of(ORDERS.c.id, "ids")).order_by(ORDERS.c.id).with_for_update()
)
_FULFIL = Statement(
    sa.update(ORDERS)
    .where(
        ORDERS.c.id == sa.bindparam("order_id"),
        ORDERS.c.state == str(State.PAID),
        ~sa.exists().where(
            ORDER_LINE.c.order_id == ORDERS.c.id, sa.or_(ORDER_LINE.c.awaits_credits, ORDER_LINE.c.awaits_binding)
        ),
    )
    .values(state=str(State.FULFILLED), fulfilled_at=sa.bindparam("now", type_=UtcDateTimeColumn))
)


def take_order_serial(transaction: Transaction, cart: Cart) -> int | None:
    """The next number of an order; None if the cart is not at the version that was seen.

    The cart is locked until the transaction ends. Orders of different carts do not wait for each other, and a rollback
    leaves a gap.
    """
    serial: int | None = transaction.scalar(_TAKE_SERIAL, now=transaction.now, cart_id=cart.id, version=cart.version)
    return serial


def take_serial(transaction: Transaction) -> int:
    """The next number of an order that is not made from a cart."""
    serial: int = transaction.scalar(_TAKE_QUOTED_SERIAL, now=transaction.now)
    return serial


def insert_order(transaction: Transaction, order: Order) -> None:
    """Store a new order with its frozen lines.

    Raises:
        IntegrityError: a payment for the same cart is under way (with the next statement or the commit).
    """
    values = {column.name: getattr(order, column.name) for column in ORDERS.c}
    transaction.insert(ORDERS, {**values, "state": str(order.state)})
    for line in order.lines:
        frozen = {column.name: getattr(line, column.name) for column in _ORDER_LINE_COLUMNS}
        transaction.insert(ORDER_LINE, {"order_id": order.id, **frozen})


def is_payment_under_way(error: IntegrityError) -> bool:
    """Whether an order could not be stored because another one of its cart is being paid."""
    return violates(error, "orders_one_payment_under_way", "orders.cart_id")


def is_made_already(error: IntegrityError) -> bool:
    """Whether an order could not be stored because its quote has become one."""
    return violates(error, "orders_one_per_quote", "orders.quote_id")


def read_order(reader: Reader, order_id: str, organization_id: str | None = None) -> Order | None:
    """An order with its lines; only that organisation's, unless it is None."""
    query = _WITH_DISPUTE.where(ORDERS.c.id == order_id)
    if organization_id is not None:
        query = query.where(ORDERS.c.organization_id == organization_id)
    found = with_lines(reader, reader.all(query))
    return found[0] if found else None


def read_orders(reader: Reader, order_ids: Sequence[str]) -> list[Order]:
    """Those of the orders that exist, with their lines, by id."""
    return with_lines(reader, reader.all(sa.select(ORDERS).where(ORDERS.c.id.in_(order_ids)).order_by(ORDERS.c.id)))


def lock_order(transaction: Transaction, order_id: str) -> tuple[Order, int] | None:
    """An order and the version of its cart, which nobody else changes until the transaction ends."""
    transaction.write(_LOCK_ORDER, order_id=order_id)
    # read after the lock is held: a join in the locking statement could give older lines
    rows = transaction.all(_READ_ORDER, order_id=order_id)
    if not rows:
        return None
    lines = [OrderLine(**{column.name: row[f"line_{column.name}"] for column in _ORDER_LINE_COLUMNS}) for row in rows]
    return _order(rows[0], lines), rows[0]["version_of_cart"]


def lock_quote(transaction: Transaction, quote: Order) -> Order | None:
    """A quote as it is now, which nobody else changes until the transaction ends.

    Its cart is locked first, as it is by whoever cancels the order that it became and gives the quote back: two that
    lock the same rows in another order would wait for each other.
    """
    transaction.write(_LOCK_CART_BY_ID, cart_id=quote.cart_id)
    locked = lock_order(transaction, quote.id)
    return None if locked is None else locked[0]


def reopen_quote(transaction: Transaction, quote_id: str) -> None:
    """The order that a quote became was cancelled unpaid: it may become another, until it expires."""
    move_order(transaction, quote_id, State.OPEN, converted_to=None)


def quotes_to_chase(transaction: Transaction, remind_until: datetime, at_most: int) -> list[Order]:
    """Open quotes whose last day has passed, or which expire by then and whose buyers were not told; they are locked.

    Other processes pass over them.
    """
    rows = transaction.all(
        sa.select(ORDERS)
        .where(
            sa.text(_OPEN_QUOTE),
            sa.or_(
                ORDERS.c.expires_at <= transaction.now,
                sa.and_(ORDERS.c.expires_at <= remind_until, ORDERS.c.reminded_at.is_(None)),
            ),
        )
        .order_by(ORDERS.c.expires_at)
        .limit(at_most)
        .with_for_update(skip_locked=True)
    )
    return with_lines(transaction, rows)


def note_reminder(transaction: Transaction, quote_id: str) -> None:
    """The buyer of a locked quote was told that it is about to expire."""
    transaction.execute(sa.update(ORDERS).where(ORDERS.c.id == quote_id).values(reminded_at=transaction.now))


def how_orders_stand(reader: Reader, order_ids: Iterable[str]) -> dict[str, tuple[State, Money]]:
    """State and total of orders, by id."""
    rows = reader.all(_STANDS, ids=sorted(order_ids))
    return {row["id"]: (State(row["state"]), Money(row["total_minor"], row["currency"])) for row in rows}


def with_lines(reader: Reader, rows: Sequence[Row]) -> list[Order]:
    """The orders of these rows, in their order."""
    if not rows:
        return []
    lines: dict[str, list[OrderLine]] = {row["id"]: [] for row in rows}
    for row in reader.all(
        sa.select(ORDER_LINE).where(ORDER_LINE.c.order_id.in_(list(lines))).order_by(ORDER_LINE.c.position)
    ):
        lines[row["order_id"]].append(OrderLine(**{column.name: row[column.name] for column in _ORDER_LINE_COLUMNS}))
    return [_order(row, lines[row["id"]]) for row in rows]


def page_of_orders(
    reader: Reader,
    organization_id: str | None,
    filters: Mapping[str, str | None],
    limit: int,
    cursor: str | None,
) -> tuple[list[Order], str | None]:
    """One page of orders, newest first.

    Args:
        reader: where to ask.
        organization_id: whose; None for everybody's.
        filters: columns and the values they must have; None for any.
        limit: orders at most.
        cursor: of the page before.

    Raises:
        Refusal: `invalid_cursor`.
    """
    query = _WITH_DISPUTE
    if organization_id is not None:
        query = query.where(ORDERS.c.organization_id == organization_id)
    for column, value in filters.items():
        if value is not None:
            query = query.where(_stands_as(value, reader.now) if column == "state" else ORDERS.c[column] == value)
    rows, following = page(reader, query, ORDERS.c.id, limit, cursor)
    return with_lines(reader, rows), following


def _stands_as(state: str, now: datetime) -> sa.ColumnElement[bool]:
    """A quote is open until its last day has passed, and expired from then on, whether the sweep has come or not."""
    is_it = ORDERS.c.state == state
    if state == State.OPEN:
        return sa.and_(is_it, ORDERS.c.expires_at > now)
    if state == State.EXPIRED:
        return sa.or_(is_it, sa.and_(ORDERS.c.state == str(State.OPEN), ORDERS.c.expires_at <= now))
    return is_it


def search_orders(
    reader: Reader, wanted: Mapping[str, str], ids: Sequence[str] | None, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """One page of everybody's orders without their lines, newest first.

    Args:
        reader: where to ask.
        wanted: columns and the values they must have.
        ids: which they must be among; None for any.
        limit: orders at most.
        cursor: of the page before.

    Raises:
        Refusal: `invalid_cursor`.
    """
    state = [_stands_as(value, reader.now) for column, value in wanted.items() if column == "state"]
    others = [ORDERS.c[column] == value for column, value in wanted.items() if column != "state"]
    query = _WITH_DISPUTE.where(*state, *others)
    if ids is not None:
        query = query.where(ORDERS.c.id.in_(ids))
    return page(reader, query, ORDERS.c.id, limit, cursor)


def move_order(transaction: Transaction, order_id: str, target: State, **values: Any) -> None:
    """Bring a locked order to a state, if it is in one from which that may be."""
    transaction.write(_moving(target, tuple(values)), order_id=order_id, **values)


def could_move_order(transaction: Transaction, order_id: str, target: State, **values: Any) -> bool:
    """The same; whether it was in such a state."""
    return transaction.change(_moving(target, tuple(values)), order_id=order_id, **values) == 1


@cache
def _moving(target: State, columns: tuple[str, ...]) -> Statement:
    values = {name: sa.bindparam(name, type_=ORDERS.c[name].type) for name in columns}
    allowed = one_of(ORDERS.c.state, [str(state) for state in sources(target)])
    return Statement(
        sa.update(ORDERS).where(ORDERS.c.id == sa.bindparam("order_id"), allowed).values(state=str(target), **values)
    )


def await_payment(transaction: Transaction, order_id: str, **values: Any) -> None:
    """Have a locked order wait for a wire or check, or wait on new terms."""
    waits = ORDERS.c.state.in_([str(State.PENDING_PAYMENT), str(State.AWAITING_PAYMENT)])
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order_id, waits)
        .values(state=str(State.AWAITING_PAYMENT), **values)
    )  # fmt: skip


def pay_otherwise(transaction: Transaction, order_id: str, **values: Any) -> None:
    """Have a locked, unpaid order be paid in another way."""
    unpaid = ORDERS.c.state.in_([str(State.PENDING_PAYMENT), str(State.AWAITING_PAYMENT)])
    transaction.execute(
        sa.update(ORDERS).where(ORDERS.c.id == order_id, unpaid).values(state=str(State.PENDING_PAYMENT), **values)
    )


def note_next_action(transaction: Transaction, order_id: str, round: int, next_action: Mapping[str, Any]) -> None:
    """Keep what the payer must do, unless the payment has ended or was changed since."""
    pending = (ORDERS.c.state == str(State.PENDING_PAYMENT), ORDERS.c.payment_round == round)
    transaction.execute(
        sa.update(ORDERS).where(ORDERS.c.id == order_id, *pending).values(next_action=dict(next_action))
    )  # fmt: skip


def note_received(transaction: Transaction, order_id: str, received_minor: int) -> None:
    """Keep how much money has come for an order; what is known only grows, in whatever order it is told."""
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order_id, ORDERS.c.received_minor < received_minor)
        .values(received_minor=received_minor)
    )


def lock_orders(transaction: Transaction, order_ids: Iterable[str]) -> set[str]:
    """Have nobody else change these orders until the transaction ends; those of them that exist."""
    return {row["id"] for row in transaction.all(_LOCK_ORDERS, ids=sorted(order_ids))}


def hand_over_lines(transaction: Transaction, order_id: str, line_ids: Sequence[str], awaited: str) -> None:
    """Note that lines have got what they awaited.

    Args:
        transaction: one that has locked the order.
        order_id: the order.
        line_ids: lines of it.
        awaited: ``awaits_credits`` or ``awaits_binding``.
    """
    transaction.write(_handing_over(awaited), of_order=order_id, line_ids=line_ids)


@cache
def _handing_over(awaited: str) -> Statement:
    return Statement(
        sa.update(ORDER_LINE)
        .where(ORDER_LINE.c.order_id == sa.bindparam("of_order"), any_of(ORDER_LINE.c.id, "line_ids"))
        .values({awaited: False})
    )


def fulfil_if_complete(transaction: Transaction, order_id: str) -> None:
    """Close a paid order if no line awaits anything."""
    transaction.write(_FULFIL, order_id=order_id, now=transaction.now)


def claim_order(transaction: Transaction, longest_lease: timedelta, order_id: str | None = None) -> Order | None:
    """An order whose payment is under way and whose lease has run out; that one, or the one that has waited longest.

    The row is locked until the transaction ends; other processes pass over it. The lines are left out.

    Args:
        transaction: the open one.
        longest_lease: one that ends later than so far ahead is from a clock that was wrong, and holds nobody.
        order_id: only that one.
    """
    query = (
        sa.select(ORDERS)
        .where(
            sa.text(_PAYMENT_UNDER_WAY),
            sa.or_(
                ORDERS.c.next_attempt_at <= transaction.now,
                ORDERS.c.next_attempt_at > transaction.now + longest_lease + CLOCKS_DIFFER,
            ),
        )
        .order_by(ORDERS.c.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if order_id is not None:
        query = query.where(ORDERS.c.id == order_id)
    row = transaction.one(query)
    return None if row is None else _order(row, ())


def lease_order(transaction: Transaction, order: Order, until: datetime) -> None:
    """Have nobody ask about the order's payment before `until`."""
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order.id)
        .values(attempts=order.attempts + 1, next_attempt_at=until)
    )  # fmt: skip


def request_cancel(transaction: Transaction, order: Order, until: datetime) -> None:
    """Have a locked, unpaid order's payment given up rather than pursued; nobody else asks about it before `until`."""
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order.id)
        .values(
            state=str(State.PENDING_PAYMENT),
            cancel_requested_at=order.cancel_requested_at or transaction.now,
            next_attempt_at=until,
        )
    )


def flag_order(transaction: Transaction, order_id: str, problem: str) -> None:
    """Keep what is wrong with an order for a person to look at; the first problem stays."""
    transaction.execute(
        sa.update(ORDERS).where(ORDERS.c.id == order_id, ORDERS.c.problem.is_(None)).values(problem=problem)
    )


def stored_answer(reader: Reader, order: Order) -> dict[str, Any] | None:
    """The answer that is kept under the order's Idempotency-Key; None if there is none (any more)."""
    return _kept_answer(reader, order.organization_id, order.answered_key)


def _kept_answer(reader: Reader, scope: str, key: str) -> dict[str, Any] | None:
    is_it = (IDEMPOTENCY_KEY.c.scope == scope, IDEMPOTENCY_KEY.c.key == key)
    text = reader.scalar(sa.select(IDEMPOTENCY_KEY.c.answer).where(*is_it))
    return json.loads(text) if text else None


def insert_refund(transaction: Transaction, refund: Refund) -> bool:
    """Store a new refund; False if another one of the order is not ended yet."""
    values = {**asdict(refund), "state": str(refund.state)}
    del values["taken_back"]
    return transaction.insert_new(REFUND, values)


def read_refund(reader: Reader, refund_id: str) -> Refund | None:
    """A refund."""
    row = reader.one(sa.select(REFUND).where(REFUND.c.id == refund_id))
    return None if row is None else _refund(row)


def newest_refund(reader: Reader, order_id: str) -> Refund | None:
    """The newest refund of an order."""
    row = reader.one(sa.select(REFUND).where(REFUND.c.order_id == order_id).order_by(REFUND.c.id.desc()).limit(1))
    return None if row is None else _refund(row)


def refunds_of(reader: Reader, order_ids: Sequence[str]) -> dict[str, list[Refund]]:
    """By order, its refunds but those that were in vain, oldest first."""
    counts = REFUND.c.state.not_in([str(state) for state in VAIN])
    query = sa.select(REFUND).where(REFUND.c.order_id.in_(order_ids), counts).order_by(REFUND.c.id)
    found: dict[str, list[Refund]] = {}
    for row in reader.all(query):
        found.setdefault(row["order_id"], []).append(_refund(row))
    return found


def lock_refund(transaction: Transaction, refund_id: str) -> Refund | None:
    """A refund, which nobody else changes until the transaction ends."""
    row = transaction.one(sa.select(REFUND).where(REFUND.c.id == refund_id).with_for_update())
    return None if row is None else _refund(row)


def page_of_refunds(
    reader: Reader, state: str | None, order_id: str | None, limit: int, cursor: str | None
) -> tuple[list[Refund], str | None]:
    """One page of refunds, newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    query = sa.select(REFUND)
    if state is not None:
        query = query.where(REFUND.c.state == state)
    if order_id is not None:
        query = query.where(REFUND.c.order_id == order_id)
    rows, following = page(reader, query, REFUND.c.id, limit, cursor)
    return [_refund(row) for row in rows], following


def move_refund(transaction: Transaction, refund_id: str, target: RefundState, **values: Any) -> bool:
    """Bring a refund to a state, if it is in one from which that may be; whether it was."""
    allowed = REFUND.c.state.in_([str(state) for state in refund_sources(target)])
    moved = transaction.execute(
        sa.update(REFUND).where(REFUND.c.id == refund_id, allowed).values(state=str(target), **values)
    )
    return moved.rowcount == 1


def claim_refund(transaction: Transaction, longest_lease: timedelta, refund_id: str | None = None) -> Refund | None:
    """A refund under way whose lease has run out; that one, or the one that has waited longest.

    The row is locked until the transaction ends; other processes pass over it. A lease longer than any came from a
    clock that was wrong, and holds nobody.
    """
    query = (
        sa.select(REFUND)
        .where(
            REFUND.c.state.in_([str(state) for state in UNDER_WAY]),
            sa.or_(
                REFUND.c.next_attempt_at <= transaction.now,
                REFUND.c.next_attempt_at > transaction.now + longest_lease + CLOCKS_DIFFER,
            ),
        )
        .order_by(REFUND.c.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = transaction.one(query if refund_id is None else query.where(REFUND.c.id == refund_id))
    return None if row is None else _refund(row)


def lease_refund(transaction: Transaction, refund: Refund, until: datetime) -> None:
    """Have nobody else go on with a refund before `until`."""
    lease = sa.update(REFUND).where(REFUND.c.id == refund.id)
    transaction.execute(lease.values(attempts=refund.attempts + 1, next_attempt_at=until))


def answer_of_refund(reader: Reader, refund: Refund) -> dict[str, Any] | None:
    """The answer that is kept under the refund's Idempotency-Key; None if there is none (any more)."""
    return _kept_answer(reader, refund.scope, refund.idempotency_key)


# --- rows to objects ---


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


def _order(row: Row, lines: Sequence[OrderLine]) -> Order:
    values = {column.name: row[column.name] for column in ORDERS.c}
    return Order(**{**values, "state": State(row["state"]), "lines": tuple(lines), "dispute": _dispute(row)})


def _dispute(row: Row) -> Dispute | None:
    """The one that was read with an order; None where it was not, too."""
    if row.get("dispute_id") is None:
        return None
    values = {column.name: row[f"dispute_{column.name}"] for column in ORDER_DISPUTE.c}
    told = None if values["told"] is None else DisputeState(values["told"])
    return Dispute(**{**values, "state": DisputeState(values["state"]), "told": told})


def _refund(row: Row) -> Refund:
    names = ("taken_back", "claimed", "spent", "expired")
    said = {name: row[f"{name}_credits"] for name in names}
    values = {column.name: row[column.name] for column in REFUND.c if not column.name.endswith("_credits")}
    taken_back = None if said["taken_back"] is None else TakenBack(**said)
    return Refund(**{**values, "state": RefundState(row["state"]), "taken_back": taken_back})
