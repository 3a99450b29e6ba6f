"""Organisations that manage others, as a reseller does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import UtcDateTimeColumn

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "management",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("manager_id", sa.String(64), sa.ForeignKey("organization.id"), nullable=False),
        sa.Column("managed_id", sa.String(64), sa.ForeignKey("organization.id"), nullable=False),
        sa.Column("began_at", UtcDateTimeColumn, nullable=False),
        sa.Column("ended_at", UtcDateTimeColumn),
        sa.CheckConstraint("manager_id <> managed_id", name="management_of_others"),
        sa.Index("management_of_managed", "managed_id", "manager_id"),
    )
    present = sa.text("ended_at IS NULL")
    op.create_index(
        "management_once", "management", ["manager_id", "managed_id"],
        unique=True, sqlite_where=present, postgresql_where=present,
    )  # fmt: skip


def downgrade() -> None:
    """Go back."""
    op.drop_table("management")
