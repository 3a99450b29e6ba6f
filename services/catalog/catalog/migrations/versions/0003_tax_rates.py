"""Tax rates by jurisdiction and day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "tax_rate",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),  # empty: the rest of the country
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("rate_ppm", sa.Integer, nullable=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("valid_until", sa.Date),
        sa.UniqueConstraint("country", "state", "valid_from", name="tax_rate_one_begins_a_day"),
        sa.CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name="tax_rate_ppm"),
        sa.CheckConstraint("valid_until >= valid_from", name="tax_rate_ends_after_it_begins"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("tax_rate")
