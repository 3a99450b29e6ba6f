"""The numbers of invoices, for the receipts that name them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "invoice_numbers",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.String(32), nullable=False),
        sa.Column("noted_at", UtcDateTimeColumn, nullable=False),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("invoice_numbers")
