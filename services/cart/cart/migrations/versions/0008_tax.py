"""The billing address of an order, and its tax."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.migrations import replace_check

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COLUMNS = ("billing_address", "tax_name", "tax_rate_ppm", "tax_certificate")


def upgrade() -> None:
    """Go forward."""
    op.add_column("orders", sa.Column("billing_address", sa.JSON(none_as_null=True)))
    op.add_column("orders", sa.Column("tax_name", sa.String(40)))
    op.add_column("orders", sa.Column("tax_rate_ppm", sa.Integer))
    op.add_column("orders", sa.Column("tax_certificate", sa.String(100)))
    op.add_column("order_line", sa.Column("tax_minor", sa.BigInteger, nullable=False, server_default="0"))
    replace_check(
        "orders",
        "orders_tax_has_a_rate",
        "CASE WHEN tax_rate_ppm IS NULL THEN tax_minor = 0 AND tax_name IS NULL ELSE tax_name IS NOT NULL END",
    )
    replace_check("order_line", "order_line_tax", "tax_minor >= 0")
    refuse = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_frozen_change()"
        if _is_postgres()
        else "BEGIN SELECT RAISE(ABORT, 'orders are frozen'); END"
    )
    op.execute(f"CREATE TRIGGER orders_tax_frozen BEFORE UPDATE OF {', '.join(_COLUMNS)} ON orders {refuse}")
    op.execute(f"CREATE TRIGGER order_line_tax_frozen BEFORE UPDATE OF tax_minor ON order_line {refuse}")


def downgrade() -> None:
    """Go back to orders without tax."""
    for table in ("orders", "order_line"):
        op.execute(f"DROP TRIGGER {table}_tax_frozen{f' ON {table}' if _is_postgres() else ''}")
    replace_check("orders", "orders_tax_has_a_rate", "tax_minor = 0")
    replace_check("order_line", "order_line_tax", "quantity > 0")
    op.drop_column("order_line", "tax_minor")
    for column in _COLUMNS:
        op.drop_column("orders", column)


def _is_postgres() -> bool:
    return bool(op.get_bind().dialect.name == "postgresql")
