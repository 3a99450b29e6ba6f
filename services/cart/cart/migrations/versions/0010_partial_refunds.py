"""Refunds of a part of an order, those that need a second person, and those that staff pay out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.migrations import replace_check
from chassis.persistence.tables import UtcDateTimeColumn

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ACTIVE = "state IN ('awaiting_approval', 'taking_back', 'returning_money', 'awaiting_payout')"
_UNDER_WAY = "state IN ('taking_back', 'returning_money')"
_STATES = (
    "'awaiting_approval', 'rejected', 'taking_back', 'returning_money', 'awaiting_payout', 'done', 'refused', 'failed'"
)


def upgrade() -> None:
    """Go forward."""
    op.add_column("refund", sa.Column("lines", sa.JSON(none_as_null=True)))
    op.add_column("refund", sa.Column("money_only", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("refund", sa.Column("left_minor", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("refund", sa.Column("approved_by", sa.String(64)))
    op.add_column("refund", sa.Column("decided_at", UtcDateTimeColumn))
    replace_check("refund", "refund_state", f"state IN ({_STATES})")
    replace_check("refund", "refund_second_person", "approved_by IS NULL OR approved_by <> requested_by")
    replace_check(
        "refund", "refund_credits_come_first",
        "(state IN ('awaiting_approval', 'rejected', 'taking_back', 'refused')) = (taken_back_credits IS NULL)",
    )  # fmt: skip
    replace_check("refund", "refund_ended_at", f"({_ACTIVE}) = (ended_at IS NULL)")
    replace_check(
        "refund", "refund_failure_code", "(state IN ('rejected', 'refused', 'failed')) = (failure_code IS NOT NULL)"
    )
    op.drop_index("refund_one_per_order", "refund")
    active = sa.text(_ACTIVE)
    op.create_index(
        "refund_one_at_a_time", "refund", ["order_id"], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.create_index("refund_order", "refund", ["order_id"])


def downgrade() -> None:
    """Go back to refunds of whole orders; there must be no others."""
    op.drop_index("refund_order", "refund")
    op.drop_index("refund_one_at_a_time", "refund")
    counts = sa.text("state <> 'refused'")
    op.create_index(
        "refund_one_per_order", "refund", ["order_id"], unique=True, sqlite_where=counts, postgresql_where=counts
    )
    replace_check("refund", "refund_second_person", "amount_minor > 0")
    replace_check("refund", "refund_failure_code", "(state IN ('refused', 'failed')) = (failure_code IS NOT NULL)")
    replace_check("refund", "refund_ended_at", f"({_UNDER_WAY}) = (ended_at IS NULL)")
    replace_check(
        "refund", "refund_credits_come_first", "(state IN ('taking_back', 'refused')) = (taken_back_credits IS NULL)"
    )
    replace_check("refund", "refund_state", "state IN ('taking_back', 'returning_money', 'done', 'refused', 'failed')")
    if op.get_bind().dialect.name == "postgresql":
        for column in ("lines", "money_only", "left_minor", "approved_by", "decided_at"):
            op.drop_column("refund", column)
