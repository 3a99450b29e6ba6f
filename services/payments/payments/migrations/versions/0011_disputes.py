"""Charges that the payer's bank takes back, and how far the provider's changes were read"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "dispute",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("provider_dispute_id", sa.String(64), nullable=False, unique=True),
        sa.Column("provider_charge_id", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(255), nullable=False),
        sa.Column("intent_id", sa.String(64), sa.ForeignKey("payment_intent.id")),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("opened_at", UtcDateTimeColumn, nullable=False),
        sa.Column("evidence_due_at", UtcDateTimeColumn, nullable=False),
        sa.Column("closed_at", UtcDateTimeColumn),
        sa.Column("evidence", sa.Text),
        sa.Column("evidence_sent_at", UtcDateTimeColumn),
        sa.Column("accepted_at", UtcDateTimeColumn),
        sa.CheckConstraint("amount_minor > 0", name="dispute_amount_positive"),
        sa.CheckConstraint("state IN ('open', 'won', 'lost')", name="dispute_state"),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="dispute_closed_at"),
        sa.CheckConstraint("(evidence IS NULL) = (evidence_sent_at IS NULL)", name="dispute_evidence_sent_at"),
    )
    op.create_index("dispute_intent", "dispute", ["intent_id"])
    op.create_index("dispute_order", "dispute", ["order_id"])
    for name, columns, where in (
        ("dispute_open", ["evidence_due_at"], sa.text("state = 'open'")),
        ("dispute_stray", ["provider_charge_id"], sa.text("intent_id IS NULL")),
    ):
        op.create_index(name, "dispute", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "provider_cursor",
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("value", sa.String(255), nullable=False),
    )
