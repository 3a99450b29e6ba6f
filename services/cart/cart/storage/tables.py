"""The tables."""

from __future__ import annotations

import sqlalchemy as sa

from chassis.persistence import (
    UtcDateTimeColumn,
    add_messaging_tables,
)
from chassis.persistence.throttle import failure_table

METADATA = sa.MetaData()


add_messaging_tables(METADATA)


_DESTINATION = "credit_destination IN ('organization', 'support_card')"


#: One card payment at a time per cart: a second order cannot pay for the same lines while the first is under way.
PAYMENT_UNDER_WAY = "state = 'pending_payment' AND problem IS NULL"


#: An order that was to be paid by wire or check, or was made from a quote, has its lines already: it does not keep
#: others from the cart.
_CART_IS_BEING_PAID = f"{PAYMENT_UNDER_WAY} AND instructions IS NULL AND quote_id IS NULL"


OPEN_QUOTE = "kind = 'quote' AND state = 'open'"


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
        sqlite_where=sa.text(PAYMENT_UNDER_WAY),
        postgresql_where=sa.text(PAYMENT_UNDER_WAY),
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
        sqlite_where=sa.text(OPEN_QUOTE),
        postgresql_where=sa.text(OPEN_QUOTE),
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


REFUND_UNDER_WAY = "state IN ('taking_back', 'returning_money')"


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
    sa.Index("refund_to_resume", "next_attempt_at", sqlite_where=sa.text(REFUND_UNDER_WAY),
             postgresql_where=sa.text(REFUND_UNDER_WAY)),
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
