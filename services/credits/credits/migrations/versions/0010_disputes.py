"""Disputes: what the payer's bank takes back for now freezes what is unspent.

What holds whatever a program does:

- while the payment of an order is disputed, none of its cards is claimed, recalled, split or let go: a trigger on
  `support_card`;
- what is held for a dispute stays held until that is decided: a trigger on `credit_hold`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0010"
down_revision = "0009"

_OPEN = "EXISTS (SELECT 1 FROM disputed_order WHERE {} AND disputed_order.state = 'open')"
_CARD_GETS_AWAY = (
    "NEW.state <> OLD.state AND NEW.state IN ('issued', 'claimed', 'recalled', 'split') "
    f"AND {_OPEN.format('disputed_order.order_id = NEW.order_id')}"
)
_HOLD_GETS_AWAY = "NEW.settled_at IS NOT NULL AND NEW.cause LIKE 'dispute:%' AND " + _OPEN.format(
    "'dispute:' || disputed_order.dispute_id = NEW.cause"
)


def upgrade() -> None:
    op.create_table(
        "disputed_order",
        sa.Column("dispute_id", sa.String(64), primary_key=True),
        sa.Column("order_id", sa.String(64), nullable=False, unique=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("taken_back", sa.BigInteger, nullable=False),
        sa.Column("noted_at", UtcDateTimeColumn, nullable=False),
        sa.Column("closed_at", UtcDateTimeColumn),
        sa.CheckConstraint("state IN ('open', 'won', 'lost')", name="disputed_order_state"),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="disputed_order_closed_at"),
        sa.CheckConstraint("taken_back >= 0 AND (taken_back = 0 OR state = 'lost')", name="disputed_order_taken_back"),
    )
    op.add_column("support_card", sa.Column("frozen_before", sa.String(10)))
    _guard("support_card_disputed", "support_card", "state", _CARD_GETS_AWAY)
    _guard("credit_hold_disputed", "credit_hold", "settled_at", _HOLD_GETS_AWAY)


def _guard(name: str, table: str, column: str, wrong: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {wrong} THEN
                    RAISE EXCEPTION 'a dispute freezes what is unspent' USING ERRCODE = 'check_violation';
                END IF;
                RETURN NEW;
            END $$
            """
        )
        op.execute(f"CREATE TRIGGER {name} BEFORE UPDATE OF {column} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        return
    op.execute(
        f"CREATE TRIGGER {name} BEFORE UPDATE OF {column} ON {table} WHEN {wrong} "
        "BEGIN SELECT RAISE(ABORT, 'a dispute freezes what is unspent'); END"
    )
