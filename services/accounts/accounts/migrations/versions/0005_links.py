"""Sign-ups, password resets and invitations: what a link in a mail lets its reader do once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import UtcDateTimeColumn

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "link",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("requested_at", UtcDateTimeColumn, nullable=False),
        sa.Column("correlation_id", sa.String(64), nullable=False),
        sa.Column("issued_at", UtcDateTimeColumn),
        sa.Column("digest", sa.String(64), unique=True),
        sa.Column("expires_at", UtcDateTimeColumn),
        sa.Column("ended_at", UtcDateTimeColumn),
        sa.Column("name", sa.String(200)),
        sa.Column("organization_name", sa.String(200)),
        sa.Column("password_hash", sa.String(200)),
        sa.Column("language", sa.String(20)),
        sa.Column("organization_id", sa.String(64), sa.ForeignKey("organization.id")),
        sa.Column("role", sa.String(20)),
        sa.Column("invited_by", sa.String(64), sa.ForeignKey("user_account.id")),
        sa.CheckConstraint("purpose IN ('confirmation', 'password_reset', 'invitation')", name="link_purpose"),
        sa.CheckConstraint("(digest IS NULL) = (expires_at IS NULL)", name="link_expires"),
        sa.CheckConstraint(
            "purpose <> 'invitation' OR (organization_id IS NOT NULL AND role IS NOT NULL)", name="link_invitation"
        ),
        sa.CheckConstraint(
            "purpose <> 'confirmation' OR (organization_name IS NOT NULL AND password_hash IS NOT NULL)",
            name="link_confirmation",
        ),
        sa.Index("link_of_address", "email", "purpose"),
    )
    where = sa.text("issued_at IS NULL")
    op.create_index("link_to_issue", "link", ["id"], sqlite_where=where, postgresql_where=where)
    open_invitation = sa.text("purpose = 'invitation' AND ended_at IS NULL")
    op.create_index(
        "link_one_open_invitation", "link", ["organization_id", "email"],
        unique=True, sqlite_where=open_invitation, postgresql_where=open_invitation,
    )  # fmt: skip


def downgrade() -> None:
    """Go back."""
    op.drop_table("link")
