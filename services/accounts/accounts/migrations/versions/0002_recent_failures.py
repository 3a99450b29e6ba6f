"""Failures that are counted, so that guessing is slow."""

from __future__ import annotations

from alembic import op

from chassis.persistence import failure_columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table("recent_failure", *failure_columns())
    op.create_index("recent_failure_last", "recent_failure", ["last_failed_at"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("recent_failure")
