"""Orders whose payer must confirm the payment, or whose payment was changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("orders", sa.Column("next_action", sa.JSON(none_as_null=True)))
    op.add_column("orders", sa.Column("payment_round", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Go back."""
    for column in ("next_action", "payment_round"):
        op.drop_column("orders", column)
