"""What was taken back for refunds of some lines of an order"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "reversed_part",
        sa.Column("refund_id", sa.String(64), primary_key=True),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("taken_back", sa.BigInteger, nullable=False),
        sa.Column("claimed", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("expired", sa.BigInteger, nullable=False),
        sa.Column("reversed_at", UtcDateTimeColumn, nullable=False),
    )
    op.create_index("reversed_part_order", "reversed_part", ["order_id"])
