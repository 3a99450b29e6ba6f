"""Attempts that wait for their payer, or are given up for another way to pay"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("payment_intent", sa.Column("round", sa.Integer, nullable=False, server_default="0"))
    op.add_column("payment_attempt", sa.Column("replaced_at", UtcDateTimeColumn))
    op.add_column("payment_attempt", sa.Column("round", sa.Integer, nullable=False, server_default="0"))
    op.add_column("payment_attempt", sa.Column("action_url", sa.String(2048)))
    op.add_column("payment_attempt", sa.Column("action_expires_at", UtcDateTimeColumn))
