"""Instructions, receipts, and money that had nothing to pay for"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "payment_instructions",
        sa.Column("intent_id", sa.String(64), sa.ForeignKey("payment_intent.id"), primary_key=True),
        sa.Column("method", sa.String(10), nullable=False),
        sa.Column("reference", sa.String(25), nullable=False, unique=True),
        sa.Column("issue", sa.Integer, nullable=False),
        sa.Column("issued_at", UtcDateTimeColumn, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("expires_at", UtcDateTimeColumn, nullable=False),
        sa.Column("next_step_at", UtcDateTimeColumn),
        sa.Column("reminders", sa.Integer, nullable=False),
        sa.Column("overdue_at", UtcDateTimeColumn),
        sa.Column("organization_name", sa.String(200), nullable=False),
        sa.Column("buyer_email", sa.String(320), nullable=False),
        sa.Column("buyer_name", sa.String(200), nullable=False),
        sa.Column("buyer_language", sa.String(20), nullable=False),
        sa.CheckConstraint("method IN ('wire', 'check')", name="payment_instructions_method"),
    )
    op.create_index("payment_instructions_next_step", "payment_instructions", ["next_step_at"])
    op.create_table(
        "payment_receipt",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("intent_id", sa.String(64), sa.ForeignKey("payment_intent.id"), nullable=False),
        sa.Column("method", sa.String(10), nullable=False),
        sa.Column("bank_reference", sa.String(64), nullable=False),
        sa.Column("bank_key", sa.String(200), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("received_on", sa.Date, nullable=False),
        sa.Column("completes", sa.Boolean, nullable=False),
        sa.Column("recorded_by", sa.String(64), nullable=False),
        sa.Column("recorded_at", UtcDateTimeColumn, nullable=False),
        sa.UniqueConstraint("method", "bank_key", name="payment_receipt_bank_reference"),
        sa.CheckConstraint("method IN ('wire', 'check')", name="payment_receipt_method"),
        sa.CheckConstraint("amount_minor > 0", name="payment_receipt_amount_positive"),
    )
    op.create_index("payment_receipt_intent", "payment_receipt", ["intent_id"])
    completes = sa.text("completes")
    op.create_index(
        "payment_receipt_one_completes",
        "payment_receipt",
        ["intent_id"],
        unique=True,
        sqlite_where=completes,
        postgresql_where=completes,
    )
    op.create_table(
        "payment_surplus",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("receipt_id", sa.String(64), sa.ForeignKey("payment_receipt.id"), nullable=False, unique=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("noted_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("amount_minor > 0", name="payment_surplus_amount_positive"),
        sa.CheckConstraint("reason IN ('overpaid', 'order_paid', 'order_cancelled')", name="payment_surplus_reason"),
    )
