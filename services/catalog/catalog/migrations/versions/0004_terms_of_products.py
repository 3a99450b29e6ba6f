"""For how long a contract runs, and for how long the credits of a product can be used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.migrations import replace_check

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. A contract that is sold already runs for a year."""
    op.add_column("product", sa.Column("term_months", sa.Integer))
    op.add_column("product", sa.Column("credits_valid_days", sa.Integer))
    op.execute("UPDATE product SET term_months = 12 WHERE kind = 'contract'")
    replace_check("product", "product_term_months", "term_months > 0")
    replace_check("product", "product_credits_valid_days", "credits_valid_days >= 0")


def downgrade() -> None:
    """Go back."""
    replace_check("product", "product_term_months", "credits >= 0")
    replace_check("product", "product_credits_valid_days", "credits >= 0")
    op.drop_column("product", "credits_valid_days")
    op.drop_column("product", "term_months")
