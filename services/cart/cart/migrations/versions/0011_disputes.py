"""Disputes of payments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import UtcDateTimeColumn

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "order_dispute",
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


def downgrade() -> None:
    """Go back."""
    op.drop_table("order_dispute")
