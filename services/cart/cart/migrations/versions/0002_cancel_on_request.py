"""Orders whose payment is to be given up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import UtcDateTimeColumn

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("orders", sa.Column("cancel_requested_at", UtcDateTimeColumn))


def downgrade() -> None:
    """Go back."""
    op.drop_column("orders", "cancel_requested_at")
