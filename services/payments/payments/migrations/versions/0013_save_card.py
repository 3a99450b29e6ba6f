"""Whether the card of an attempt is to be saved once it is charged"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("payment_attempt", sa.Column("save_card", sa.Boolean, nullable=False, server_default=sa.false()))
