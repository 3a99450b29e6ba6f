"""Money that the provider took for an attempt that had ended without it"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "stray_capture",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("attempt_id", sa.String(64), sa.ForeignKey("payment_attempt.id"), nullable=False, unique=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("next_check_at", UtcDateTimeColumn),
        sa.Column("provider_charge_id", sa.String(64), unique=True),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("currency", sa.String(3)),
        sa.Column("provider_refund_id", sa.String(64), unique=True),
        sa.Column("failure_code", sa.String(64)),
        sa.Column("noted_at", UtcDateTimeColumn, nullable=False),
        sa.Column("ended_at", UtcDateTimeColumn),
        sa.CheckConstraint("state IN ('suspected', 'returning', 'returned', 'refused')", name="stray_capture_state"),
        sa.CheckConstraint(
            "(state IN ('suspected', 'returning')) = (next_check_at IS NOT NULL)", name="stray_capture_is_pursued"
        ),
        sa.CheckConstraint(
            "(state <> 'suspected') = (provider_charge_id IS NOT NULL AND amount_minor IS NOT NULL"
            " AND amount_minor > 0 AND currency IS NOT NULL)",
            name="stray_capture_is_the_providers",
        ),
        sa.CheckConstraint(
            "(state = 'returned') = (provider_refund_id IS NOT NULL)", name="stray_capture_returned_is_proven"
        ),
        sa.CheckConstraint("(state = 'refused') = (failure_code IS NOT NULL)", name="stray_capture_refused_has_cause"),
    )
    pursued = sa.text("next_check_at IS NOT NULL")
    op.create_index(
        "stray_capture_due", "stray_capture", ["next_check_at"], sqlite_where=pursued, postgresql_where=pursued
    )
