"""For how long a contract of a line runs, and its credits can be used: frozen as everything of a line."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence.migrations import replace_check

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_COLUMNS = ("term_months", "credits_valid_days")


def upgrade() -> None:
    """Go forward."""
    for column in _COLUMNS:
        op.add_column("order_line", sa.Column(column, sa.Integer))
    replace_check("order_line", "order_line_terms", "term_months > 0 AND credits_valid_days >= 0")
    refuse = (
        "FOR EACH ROW EXECUTE FUNCTION refuse_frozen_change()"
        if _is_postgres()
        else "BEGIN SELECT RAISE(ABORT, 'orders are frozen'); END"
    )
    op.execute(f"CREATE TRIGGER order_line_terms_frozen BEFORE UPDATE OF {', '.join(_COLUMNS)} ON order_line {refuse}")


def downgrade() -> None:
    """Go back."""
    op.execute(f"DROP TRIGGER order_line_terms_frozen{' ON order_line' if _is_postgres() else ''}")
    replace_check("order_line", "order_line_terms", "quantity > 0")
    for column in _COLUMNS:
        op.drop_column("order_line", column)


def _is_postgres() -> bool:
    return bool(op.get_bind().dialect.name == "postgresql")
