"""Orders that wait for a wire or check, and cards that are tried in their place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import UtcDateTimeColumn

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ("instructions", "expires_at", "received_minor", "attempt_id", "change_key")
_UNDER_WAY = "state = 'pending_payment' AND problem IS NULL"


def upgrade() -> None:
    """Go forward."""
    op.add_column("orders", sa.Column("instructions", sa.JSON(none_as_null=True)))
    op.add_column("orders", sa.Column("expires_at", UtcDateTimeColumn))
    op.add_column("orders", sa.Column("received_minor", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("orders", sa.Column("attempt_id", sa.String(64)))
    op.add_column("orders", sa.Column("change_key", sa.String(255)))
    _guard(f"{_UNDER_WAY} AND instructions IS NULL")


def downgrade() -> None:
    """Go back to orders that are paid by card."""
    _guard(_UNDER_WAY)
    for column in _COLUMNS:
        op.drop_column("orders", column)


def _guard(condition: str) -> None:
    """One payment at a time for what is still in the cart."""
    op.drop_index("orders_one_payment_under_way", "orders")
    where = sa.text(condition)
    op.create_index(
        "orders_one_payment_under_way", "orders", ["cart_id"],
        unique=True, sqlite_where=where, postgresql_where=where,
    )  # fmt: skip
