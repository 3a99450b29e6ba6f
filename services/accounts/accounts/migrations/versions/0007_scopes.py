"""What an API key may be used for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward: keys that exist go on doing all that their admin may do."""
    op.add_column("api_key", sa.Column("scopes", sa.String(100)))


def downgrade() -> None:
    """Go back."""
    op.drop_column("api_key", "scopes")
