"""Who changed what."""

from __future__ import annotations

from chassis.persistence import create_audit_table, drop_audit_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    create_audit_table()


def downgrade() -> None:
    """Go back."""
    drop_audit_table()
