"""Refunds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import UtcDateTimeColumn

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UNDER_WAY = "state IN ('taking_back', 'returning_money')"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "refund",
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
        sa.CheckConstraint("amount_minor > 0", name="refund_amount"),
        sa.CheckConstraint(
            "state IN ('taking_back', 'returning_money', 'done', 'refused', 'failed')", name="refund_state"
        ),
        sa.CheckConstraint("claimed IN ('refuse', 'refund_anyway')", name="refund_claimed"),
        sa.CheckConstraint(
            "(state IN ('taking_back', 'refused')) = (taken_back_credits IS NULL)", name="refund_credits_come_first"
        ),
        sa.CheckConstraint(f"({_UNDER_WAY}) = (ended_at IS NULL)", name="refund_ended_at"),
        sa.CheckConstraint("(state IN ('refused', 'failed')) = (failure_code IS NOT NULL)", name="refund_failure_code"),
    )
    counts = sa.text("state <> 'refused'")
    op.create_index(
        "refund_one_per_order", "refund", ["order_id"], unique=True, sqlite_where=counts, postgresql_where=counts
    )
    under_way = sa.text(_UNDER_WAY)
    op.create_index(
        "refund_to_resume", "refund", ["next_attempt_at"], sqlite_where=under_way, postgresql_where=under_way
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("refund")
