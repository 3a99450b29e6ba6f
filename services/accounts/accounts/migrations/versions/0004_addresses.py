"""The address book of an organisation; its time zone, language and tax certificate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import UtcDateTimeColumn

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("organization", sa.Column("time_zone", sa.String(64), nullable=False, server_default="UTC"))
    op.add_column("organization", sa.Column("language", sa.String(20), nullable=False, server_default="en"))
    op.add_column("organization", sa.Column("tax_certificate", sa.String(64)))
    op.create_table(
        "address",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("organization_id", sa.String(64), sa.ForeignKey("organization.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("company", sa.String(200)),
        sa.Column("address", sa.String(200), nullable=False),
        sa.Column("address_2", sa.String(200)),
        sa.Column("city", sa.String(200)),
        sa.Column("state", sa.String(200)),
        sa.Column("zip", sa.String(20)),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("default_billing", sa.Boolean, nullable=False),
        sa.Column("default_shipping", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
        sa.Index("address_of_organization", "organization_id", "id"),
    )
    for purpose in ("billing", "shipping"):
        where = sa.text(f"default_{purpose}")
        op.create_index(
            f"address_one_default_{purpose}", "address", ["organization_id"],
            unique=True, sqlite_where=where, postgresql_where=where,
        )  # fmt: skip


def downgrade() -> None:
    """Go back."""
    op.drop_table("address")
    for column in ("tax_certificate", "language", "time_zone"):
        op.drop_column("organization", column)
