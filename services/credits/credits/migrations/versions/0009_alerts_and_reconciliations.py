"""Alerts of a low balance, and what reconciliations of the whole store have found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "balance_alert",
        sa.Column("organization_id", sa.String(64), primary_key=True),
        sa.Column("organization_name", sa.String(200), nullable=False),
        sa.Column("threshold", sa.BigInteger, nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        sa.Column("set_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("threshold > 0", name="balance_alert_threshold"),
    )
    op.create_table(
        "reconciliation",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("began_at", UtcDateTimeColumn, nullable=False),
        sa.Column("ended_at", UtcDateTimeColumn, nullable=False),
        sa.Column("looked_at", sa.Text, nullable=False),
        sa.Column("breaks_count", sa.Integer, nullable=False),
        sa.Column("breaks", sa.Text, nullable=False),
        sa.Index("reconciliation_ended_at", "ended_at"),
    )
