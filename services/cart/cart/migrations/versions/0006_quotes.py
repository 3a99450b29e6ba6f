"""Quotes: orders of another kind that nothing is paid for, and that become one order each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.migrations import replace_check
from chassis.persistence.tables import UtcDateTimeColumn

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = ("time_zone", "converted_to", "reminded_at")
_UNDER_WAY = "state = 'pending_payment' AND problem IS NULL AND instructions IS NULL"
_OF_ORDERS = (
    "'pending_payment', 'awaiting_payment', 'paid', 'fulfilled', 'cancelled', 'refunded', 'partially_refunded'"
)  # fmt: skip
_OF_QUOTES = "'open', 'converted', 'expired'"
_UNPAID = "'pending_payment', 'awaiting_payment', 'cancelled'"


def upgrade() -> None:
    """Go forward."""
    postgres = op.get_bind().dialect.name == "postgresql"
    reference = "REFERENCES orders (id)"  # the same words for both: a constraint of its own cannot be added on SQLite
    op.execute(f"ALTER TABLE orders ADD COLUMN quote_id VARCHAR(64) {reference}")
    op.add_column("orders", sa.Column("time_zone", sa.String(64)))
    op.add_column("orders", sa.Column("converted_to", sa.String(64)))
    op.add_column("orders", sa.Column("reminded_at", UtcDateTimeColumn))
    replace_check("orders", "orders_state", f"state IN ({_OF_ORDERS}, {_OF_QUOTES})")
    replace_check(
        "orders",
        "orders_quote",
        f"CASE WHEN kind = 'quote' THEN state IN ({_OF_QUOTES}, 'cancelled') "
        "AND expires_at IS NOT NULL AND time_zone IS NOT NULL AND quote_id IS NULL "
        f"ELSE state NOT IN ({_OF_QUOTES}) END",
    )
    replace_check("orders", "orders_converted_to", "(state = 'converted') = (converted_to IS NOT NULL)")
    replace_check("orders", "orders_payment_method", "payment_method IN ('card', 'wire', 'check', 'quote')")
    replace_check("orders", "orders_quote_is_not_paid", "(kind = 'quote') = (payment_method = 'quote')")
    replace_check("orders", "orders_paid_at", f"(paid_at IS NULL) = (state IN ({_UNPAID}, {_OF_QUOTES}))")
    _guard_cart(f"{_UNDER_WAY} AND quote_id IS NULL")
    made = sa.text("quote_id IS NOT NULL AND state <> 'cancelled'")
    op.create_index(
        "orders_one_per_quote", "orders", ["quote_id"], unique=True, sqlite_where=made, postgresql_where=made
    )
    is_open = sa.text("kind = 'quote' AND state = 'open'")
    op.create_index("orders_open_quotes", "orders", ["expires_at"], sqlite_where=is_open, postgresql_where=is_open)
    refuse = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_frozen_change()"
        if postgres
        else "BEGIN SELECT RAISE(ABORT, 'orders are frozen'); END"
    )
    op.execute(f"CREATE TRIGGER orders_quote_frozen BEFORE UPDATE OF quote_id, time_zone ON orders {refuse}")


def downgrade() -> None:
    """Go back to orders that are paid for; there must be no quotes."""
    postgres = op.get_bind().dialect.name == "postgresql"
    op.execute(f"DROP TRIGGER orders_quote_frozen{' ON orders' if postgres else ''}")
    op.drop_index("orders_open_quotes", "orders")
    op.drop_index("orders_one_per_quote", "orders")
    _guard_cart(_UNDER_WAY)
    replace_check("orders", "orders_state", f"state IN ({_OF_ORDERS})")
    replace_check("orders", "orders_payment_method", "payment_method IN ('card', 'wire', 'check')")
    replace_check("orders", "orders_paid_at", f"(paid_at IS NULL) = (state IN ({_UNPAID}))")
    for name in ("orders_quote", "orders_converted_to", "orders_quote_is_not_paid"):
        replace_check("orders", name, "kind = 'order'")
    for column in _COLUMNS if not postgres else (*_COLUMNS, "quote_id"):  # SQLite drops none that refers to a row
        op.drop_column("orders", column)


def _guard_cart(condition: str) -> None:
    """One payment at a time for what is still in the cart."""
    op.drop_index("orders_one_payment_under_way", "orders")
    where = sa.text(condition)
    op.create_index(
        "orders_one_payment_under_way", "orders", ["cart_id"],
        unique=True, sqlite_where=where, postgresql_where=where,
    )  # fmt: skip
