"""Intents and attempts"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.tables import METADATA as CHASSIS_METADATA

revision = "0001"
down_revision = None

_STATES = "state IN ('requires_action', 'processing', 'captured', 'failed', 'voided')"


def upgrade() -> None:
    CHASSIS_METADATA.create_all(op.get_bind())
    op.create_table(
        "payment_intent",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("order_id", sa.String(64), nullable=False, unique=True),
        sa.Column("order_number", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("method", sa.String(10), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("amount_minor > 0", name="payment_intent_amount_positive"),
        sa.CheckConstraint(_STATES, name="payment_intent_state"),
    )
    op.create_table(
        "payment_attempt",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("intent_id", sa.String(64), sa.ForeignKey("payment_intent.id"), nullable=False),
        sa.Column("provider_key", sa.String(64), nullable=False, unique=True),
        sa.Column("provider_token", sa.String(255)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("next_check_at", UtcDateTimeColumn),
        sa.Column("provider_charge_id", sa.String(64), unique=True),
        sa.Column("card_brand", sa.String(20)),
        sa.Column("card_last4", sa.String(4)),
        sa.Column("captured_at", UtcDateTimeColumn),
        sa.Column("decline_code", sa.String(64)),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint(_STATES, name="payment_attempt_state"),
        sa.CheckConstraint(
            "state <> 'processing' OR (provider_token IS NOT NULL AND next_check_at IS NOT NULL)",
            name="payment_attempt_processing_is_pursued",
        ),
        sa.CheckConstraint(
            "state <> 'captured' OR (provider_charge_id IS NOT NULL AND card_brand IS NOT NULL"
            " AND card_last4 IS NOT NULL AND captured_at IS NOT NULL)",
            name="payment_attempt_captured_is_proven",
        ),
        sa.CheckConstraint("state <> 'failed' OR decline_code IS NOT NULL", name="payment_attempt_failed_has_cause"),
    )
    live_or_captured = sa.text("state IN ('requires_action', 'processing', 'captured')")
    op.create_index(
        "payment_attempt_one_live_or_captured",
        "payment_attempt",
        ["intent_id"],
        unique=True,
        sqlite_where=live_or_captured,
        postgresql_where=live_or_captured,
    )
    op.create_index("payment_attempt_intent", "payment_attempt", ["intent_id"])
    processing = sa.text("state = 'processing'")
    op.create_index(
        "payment_attempt_due",
        "payment_attempt",
        ["next_check_at"],
        sqlite_where=processing,
        postgresql_where=processing,
    )
