"""Deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.tables import METADATA as CHASSIS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    CHASSIS.create_all(op.get_bind())
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("cause", sa.String(150), nullable=False, unique=True),
        sa.Column("order_id", sa.String(64)),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("message_id", sa.String(400), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("correlation_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", UtcDateTimeColumn, nullable=False),
        sa.Column("last_error", sa.String(100)),
        sa.Column("queued_at", UtcDateTimeColumn, nullable=False),
        sa.Column("sent_at", UtcDateTimeColumn),
        sa.CheckConstraint("state IN ('queued', 'sent', 'failed')", name="deliveries_state"),
        sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="deliveries_sent_at"),
    )
    op.create_index("deliveries_order_id", "deliveries", ["order_id"])
    queued = sa.text("state = 'queued'")
    op.create_index("deliveries_due", "deliveries", ["next_attempt_at"], sqlite_where=queued, postgresql_where=queued)


def downgrade() -> None:
    op.drop_table("deliveries")
    CHASSIS.drop_all(op.get_bind())
