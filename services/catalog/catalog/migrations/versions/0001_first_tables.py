"""Categories, products, prices and terms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.tables import METADATA, UtcDateTimeColumn

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    METADATA.create_all(op.get_bind())
    op.create_table(
        "category",
        sa.Column("slug", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("parent", sa.String(64), sa.ForeignKey("category.slug")),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "product",
        sa.Column("sku", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("category", sa.String(64), sa.ForeignKey("category.slug"), nullable=False, index=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("credits", sa.Integer, nullable=False),
        sa.Column("needs_deployment", sa.Boolean, nullable=False),
        sa.Column("needs_contract", sa.Boolean, nullable=False),
        sa.Column("max_quantity", sa.Integer, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.CheckConstraint("kind IN ('credit_pack', 'contract', 'licence', 'hardware')", name="product_kind"),
        sa.CheckConstraint("credits >= 0", name="product_credits"),
        sa.CheckConstraint("max_quantity > 0", name="product_max_quantity"),
    )
    op.create_table(
        "price",
        sa.Column("sku", sa.String(64), sa.ForeignKey("product.sku"), primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount_minor >= 0", name="price_amount_minor"),
    )
    op.create_table(
        "terms",
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("published_at", UtcDateTimeColumn, nullable=False, index=True),
    )


def downgrade() -> None:
    """Go back to an empty database."""
    for table in ("terms", "price", "product", "category"):
        op.drop_table(table)
    METADATA.drop_all(op.get_bind())
