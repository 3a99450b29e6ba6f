"""Organisations, users, sessions, API keys, deployments and what is bound to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import METADATA, UtcDateTimeColumn

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_REFUSAL = "entitlements are immutable"


def upgrade() -> None:
    """Go forward."""
    METADATA.create_all(op.get_bind())
    _create_people()
    _create_credentials()
    _create_deployments()
    _create_entitlements()
    _make_immutable()


def downgrade() -> None:
    """Go back to an empty database."""
    for table in (
        "entitlement", "similar_deployment", "deployment", "api_key", "session", "user_account", "organization",
    ):  # fmt: skip
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_entitlement_change()")
    METADATA.drop_all(op.get_bind())


def _create_people() -> None:
    op.create_table(
        "organization",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("platform", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("organization_id", sa.String(64), sa.ForeignKey("organization.id"), nullable=False, index=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("language", sa.String(20), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("deactivated_at", UtcDateTimeColumn),
        sa.CheckConstraint(
            "role IN ('ticket', 'viewer', 'buyer', 'admin', 'finance', 'support', 'superuser')",
            name="user_account_role",
        ),
    )


def _create_credentials() -> None:
    op.create_table(
        "session",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.String(64), sa.ForeignKey("user_account.id"), nullable=False, index=True),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("expires_at", UtcDateTimeColumn, nullable=False, index=True),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("organization_id", sa.String(64), sa.ForeignKey("organization.id"), nullable=False, index=True),
        sa.Column("user_id", sa.String(64), sa.ForeignKey("user_account.id"), nullable=False, index=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("last_four", sa.String(4), nullable=False),
        sa.Column("created_at", UtcDateTimeColumn, nullable=False),
        sa.Column("revoked_at", UtcDateTimeColumn),
    )


def _create_deployments() -> None:
    op.create_table(
        "deployment",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("organization_id", sa.String(64), sa.ForeignKey("organization.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("name_folded", sa.Text, nullable=False),
        sa.Column("registered_on", sa.Date, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.CheckConstraint("state IN ('active', 'retired')", name="deployment_state"),
        sa.Index("deployment_of_organization", "organization_id", "id"),
    )
    op.create_table(
        "similar_deployment",
        sa.Column("deployment_id", sa.String(12), sa.ForeignKey("deployment.id"), primary_key=True),
        sa.Column("similar_id", sa.String(12), sa.ForeignKey("deployment.id"), primary_key=True),
    )


def _create_entitlements() -> None:
    op.create_table(
        "entitlement",
        sa.Column("order_line_id", sa.String(64), primary_key=True),
        sa.Column("order_id", sa.String(64), nullable=False, index=True),
        sa.Column("organization_id", sa.String(64), sa.ForeignKey("organization.id"), nullable=False),
        sa.Column("deployment_id", sa.String(12), sa.ForeignKey("deployment.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("sku", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("bound_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("kind IN ('contract', 'licence')", name="entitlement_kind"),
        sa.CheckConstraint("quantity > 0", name="entitlement_quantity"),
    )


def _make_immutable() -> None:
    """Refuse UPDATE, DELETE and TRUNCATE: a licence cannot be moved, whoever holds the pen."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER entitlement_refuses_{verb.lower()} BEFORE {verb} ON entitlement "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_entitlement_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER entitlement_refuses_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON entitlement "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_entitlement_change()"
    )
