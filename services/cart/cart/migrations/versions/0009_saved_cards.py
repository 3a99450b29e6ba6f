"""Orders that are paid by a saved card, and declined cards of late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.throttle import failure_columns

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("orders", sa.Column("payment_method_id", sa.String(64)))
    op.create_table("recent_failure", *failure_columns())
    op.create_index("recent_failure_last", "recent_failure", ["last_failed_at"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("recent_failure")
    op.drop_column("orders", "payment_method_id")
