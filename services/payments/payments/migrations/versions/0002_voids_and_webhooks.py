"""Attempts that are given up, and the webhooks that have come"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("payment_attempt", sa.Column("void_requested_at", UtcDateTimeColumn))
    op.create_table(
        "webhook_event",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("received_at", UtcDateTimeColumn, nullable=False),
    )
    op.create_index("webhook_event_received_at", "webhook_event", ["received_at"])
