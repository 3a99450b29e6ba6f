"""Lots that expire, lots that were free, and adjustments by staff.

What holds whatever a program does, beside what 0001 and 0003 say:

- a lot whose time is over is used by its expiry only (or taken back by a refund), and no lot expires before its time:
  the trigger on `lot_use`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.migrations import replace_check

revision = "0005"
down_revision = "0004"

_KINDS = "kind IN ('grant', 'issue', 'claim', 'recall', 'spend', 'expiry', 'reversal', 'adjustment', 'split')"

# what a use must not be: more than its lot has left, of a lot that came to another account, or at the wrong time
_WRONG_USE = """
    NEW.amount + (SELECT COALESCE(SUM(amount), 0) FROM lot_use WHERE lot_id = NEW.lot_id)
        > (SELECT amount FROM ledger_transaction WHERE id = NEW.lot_id)
    OR (SELECT destination_id FROM ledger_transaction WHERE id = NEW.lot_id)
        <> (SELECT source_id FROM ledger_transaction WHERE id = NEW.transaction_id)
    OR EXISTS (SELECT 1 FROM ledger_transaction lot, ledger_transaction taking
        WHERE lot.id = NEW.lot_id AND taking.id = NEW.transaction_id AND taking.kind <> 'reversal'
        AND (taking.kind = 'expiry') <> (lot.expires_at IS NOT NULL AND lot.expires_at <= taking.occurred_at))
"""


def upgrade() -> None:
    op.add_column("ledger_transaction", sa.Column("expires_at", UtcDateTimeColumn))
    op.add_column("ledger_transaction", sa.Column("free", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("support_card", sa.Column("credits_valid_days", sa.Integer))
    expiring = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "ledger_transaction_due", "ledger_transaction", ["destination_id", "expires_at"], sqlite_where=expiring,
        postgresql_where=expiring,
    )  # fmt: skip
    replace_check("ledger_transaction", "ledger_transaction_kind", _KINDS)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"""
            CREATE OR REPLACE FUNCTION lot_use_check() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {_WRONG_USE} THEN
                    RAISE EXCEPTION 'a lot has not so many credits' USING ERRCODE = 'check_violation';
                END IF;
                RETURN NEW;
            END $$
            """
        )
    else:
        op.execute("DROP TRIGGER lot_use_check")
        op.execute(
            "CREATE TRIGGER lot_use_check BEFORE INSERT ON lot_use "
            f"WHEN typeof(NEW.amount) <> 'integer' OR {_WRONG_USE} "
            "BEGIN SELECT RAISE(ABORT, 'a lot has not so many credits'); END"
        )
