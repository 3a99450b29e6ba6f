"""Saved cards, and declined ones of late"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.throttle import failure_columns

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "payment_method",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("provider_token", sa.String(255)),
        sa.Column("provider_card_id", sa.String(64), unique=True),
        sa.Column("brand", sa.String(20)),
        sa.Column("last4", sa.String(4)),
        sa.Column("exp_month", sa.Integer),
        sa.Column("exp_year", sa.Integer),
        sa.Column("idempotency_key", sa.String(255), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("next_check_at", UtcDateTimeColumn),
        sa.Column("removed_at", UtcDateTimeColumn),
        sa.Column("forgotten_at", UtcDateTimeColumn),
        sa.CheckConstraint("state IN ('saving', 'saved', 'refused', 'removed')", name="payment_method_state"),
        sa.CheckConstraint(
            "(state IN ('saved', 'removed')) = (provider_card_id IS NOT NULL AND brand IS NOT NULL"
            " AND last4 IS NOT NULL AND exp_month IS NOT NULL AND exp_year IS NOT NULL)",
            name="payment_method_is_the_providers",
        ),
        sa.CheckConstraint(
            "(state = 'saving') = (provider_token IS NOT NULL)", name="payment_method_token_is_not_kept"
        ),
        sa.CheckConstraint("NOT is_default OR state = 'saved'", name="payment_method_default_is_saved"),
    )
    op.create_index("payment_method_of_organization", "payment_method", ["organization_id", "id"])
    default, saving = sa.text("is_default"), sa.text("state = 'saving'")
    op.create_index(
        "payment_method_one_default", "payment_method", ["organization_id"],
        unique=True, sqlite_where=default, postgresql_where=default,
    )  # fmt: skip
    op.create_index(
        "payment_method_due", "payment_method", ["next_check_at"], sqlite_where=saving, postgresql_where=saving
    )
    op.create_table("recent_failure", *failure_columns())
    op.create_index("recent_failure_last", "recent_failure", ["last_failed_at"])
