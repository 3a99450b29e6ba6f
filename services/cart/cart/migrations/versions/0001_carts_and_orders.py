"""Carts, orders, and the guard on what an order has frozen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import METADATA, UtcDateTimeColumn

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = ("order_line", "orders", "order_number", "cart_line", "cart")
_PAYMENT_UNDER_WAY = "state = 'pending_payment' AND problem IS NULL"
_DESTINATION = "credit_destination IN ('organization', 'support_card')"

#: What an order and its lines keep for ever. Triggers refuse to change it, whoever asks, and to delete a row.
_FROZEN = {
    "orders": (
        "id", "number", "kind", "organization_id", "organization_name", "user_id", "buyer_email", "buyer_name",
        "buyer_language", "cart_id", "cart_version", "currency", "subtotal_minor", "tax_minor", "total_minor",
        "purchase_order_number", "terms_version", "terms_accepted_at", "client_address", "idempotency_key", "placed_at",
    ),
    "order_line": (
        "id", "order_id", "position", "cart_line_id", "sku", "name", "kind", "quantity", "unit_price_minor",
        "total_minor", "credits", "deployment_id", "credit_destination",
    ),
}  # fmt: skip


def upgrade() -> None:
    """Go forward."""
    METADATA.create_all(op.get_bind())
    _create_carts()
    _create_orders()
    _create_order_lines()
    _freeze()


def downgrade() -> None:
    """Go back to an empty database."""
    for table in _TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_frozen_change()")
    METADATA.drop_all(op.get_bind())


def _create_carts() -> None:
    op.create_table(
        "cart",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
        sa.UniqueConstraint("organization_id", "user_id", name="cart_one_per_user"),
        sa.CheckConstraint("version >= 0", name="cart_version_counts"),
    )
    op.create_table(
        "cart_line",
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
    op.create_index(
        "cart_line_key",
        "cart_line",
        ["cart_id", "sku", sa.text("coalesce(deployment_id, '')"), sa.text("coalesce(credit_destination, '')")],
        unique=True,
    )


def _create_orders() -> None:
    op.create_table(
        "order_number",
        sa.Column("serial", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("taken_at", UtcDateTimeColumn, nullable=False),
    )
    op.create_table(
        "orders",
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
        sa.UniqueConstraint("number", name="orders_number"),
        sa.CheckConstraint("kind IN ('order', 'quote')", name="orders_kind"),
        sa.CheckConstraint(
            "state IN ('pending_payment', 'awaiting_payment', 'paid', 'fulfilled', 'cancelled', 'refunded', "
            "'partially_refunded')",
            name="orders_state",
        ),
        sa.CheckConstraint("payment_method IN ('card', 'wire', 'check')", name="orders_payment_method"),
        sa.CheckConstraint(
            "subtotal_minor >= 0 AND tax_minor >= 0 AND total_minor = subtotal_minor + tax_minor", name="orders_amounts"
        ),
        sa.CheckConstraint(
            "(paid_at IS NULL) = (state IN ('pending_payment', 'awaiting_payment', 'cancelled'))", name="orders_paid_at"
        ),
        sa.CheckConstraint("state <> 'fulfilled' OR fulfilled_at IS NOT NULL", name="orders_fulfilled_at"),
        sa.CheckConstraint(
            "(state = 'cancelled') = (cancelled_at IS NOT NULL AND cancel_reason IS NOT NULL)",
            name="orders_cancelled_at",
        ),
    )
    op.create_index("orders_list", "orders", ["organization_id", "id"])
    under_way = sa.text(_PAYMENT_UNDER_WAY)
    op.create_index(
        "orders_one_payment_under_way", "orders", ["cart_id"],
        unique=True, sqlite_where=under_way, postgresql_where=under_way,
    )  # fmt: skip
    op.create_index(
        "orders_to_resume", "orders", ["next_attempt_at"], sqlite_where=under_way, postgresql_where=under_way
    )


def _create_order_lines() -> None:
    op.create_table(
        "order_line",
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
        sa.UniqueConstraint("order_id", "position", name="order_line_position"),
        sa.CheckConstraint("quantity > 0", name="order_line_quantity"),
        sa.CheckConstraint(
            "unit_price_minor >= 0 AND total_minor = unit_price_minor * quantity", name="order_line_amounts"
        ),
        sa.CheckConstraint("credits >= 0", name="order_line_credits"),
        sa.CheckConstraint(f"credit_destination IS NULL OR {_DESTINATION}", name="order_line_destination"),
        sa.CheckConstraint("(credits > 0) = (credit_destination IS NOT NULL)", name="order_line_credits_go_somewhere"),
    )


def _freeze() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    if postgres:
        op.execute(
            "CREATE FUNCTION refuse_frozen_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'orders are frozen' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        refuse = "FOR EACH ROW EXECUTE FUNCTION refuse_frozen_change()"
    else:
        refuse = "BEGIN SELECT RAISE(ABORT, 'orders are frozen'); END"
    for table, columns in _FROZEN.items():
        op.execute(f"CREATE TRIGGER {table}_frozen BEFORE UPDATE OF {', '.join(columns)} ON {table} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {refuse}")
