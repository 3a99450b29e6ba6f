"""Money that staff send back by bank, and what becomes of surplus"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "payout",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("intent_id", sa.String(64), sa.ForeignKey("payment_intent.id"), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(400), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("bank_reference", sa.String(64)),
        sa.Column("bank_key", sa.String(200)),
        sa.Column("paid_on", sa.Date),
        sa.Column("recorded_by", sa.String(64)),
        sa.Column("recorded_at", UtcDateTimeColumn),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("amount_minor > 0", name="payout_amount_positive"),
        sa.CheckConstraint("kind IN ('refund', 'surplus')", name="payout_kind"),
        sa.CheckConstraint("state IN ('waiting', 'paid')", name="payout_state"),
        sa.CheckConstraint(
            "(state = 'paid') = (bank_reference IS NOT NULL AND bank_key IS NOT NULL AND paid_on IS NOT NULL"
            " AND recorded_by IS NOT NULL AND recorded_at IS NOT NULL)",
            name="payout_paid_is_proven",
        ),
    )
    op.create_index("payout_intent", "payout", ["intent_id"])
    paid = sa.text("state = 'paid'")
    op.create_index(
        "payout_bank_reference", "payout", ["bank_key"], unique=True, sqlite_where=paid, postgresql_where=paid
    )
    op.create_table(
        "surplus_settlement",
        sa.Column("surplus_id", sa.String(64), sa.ForeignKey("payment_surplus.id"), primary_key=True),
        sa.Column("how", sa.String(10), nullable=False),
        sa.Column("order_id", sa.String(64)),
        sa.Column("settled_by", sa.String(64), nullable=False),
        sa.Column("settled_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("how IN ('returned', 'used')", name="surplus_settlement_how"),
        sa.CheckConstraint("(how = 'used') = (order_id IS NOT NULL)", name="surplus_settlement_order"),
    )
