"""From when to when a contract runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.migrations import replace_check

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward: contracts that are bound already were sold without an end, and have none."""
    op.add_column("entitlement", sa.Column("starts_on", sa.Date))
    op.add_column("entitlement", sa.Column("ends_on", sa.Date))
    replace_check("entitlement", "entitlement_term", "ends_on >= starts_on")


def downgrade() -> None:
    """Go back."""
    replace_check("entitlement", "entitlement_term", "quantity > 0")
    op.drop_column("entitlement", "ends_on")
    op.drop_column("entitlement", "starts_on")
