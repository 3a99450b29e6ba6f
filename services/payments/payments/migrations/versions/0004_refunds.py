"""Refunds"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "refund",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("intent_id", sa.String(64), sa.ForeignKey("payment_intent.id"), nullable=False),
        sa.Column("provider_charge_id", sa.String(64), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(400), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("next_check_at", UtcDateTimeColumn),
        sa.Column("provider_refund_id", sa.String(64), unique=True),
        sa.Column("refunded_at", UtcDateTimeColumn),
        sa.Column("failure_code", sa.String(64)),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("amount_minor > 0", name="refund_amount_positive"),
        sa.CheckConstraint("state IN ('processing', 'succeeded', 'failed')", name="refund_state"),
        sa.CheckConstraint("(state = 'processing') = (next_check_at IS NOT NULL)", name="refund_processing_is_pursued"),
        sa.CheckConstraint(
            "(state = 'succeeded') = (provider_refund_id IS NOT NULL AND refunded_at IS NOT NULL)",
            name="refund_succeeded_is_proven",
        ),
        sa.CheckConstraint("(state = 'failed') = (failure_code IS NOT NULL)", name="refund_failed_has_cause"),
    )
    op.create_index("refund_intent", "refund", ["intent_id"])
    processing = sa.text("state = 'processing'")
    op.create_index(
        "refund_due", "refund", ["next_check_at"], sqlite_where=processing, postgresql_where=processing
    )  # fmt: skip
