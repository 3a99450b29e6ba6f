"""Holds.

What holds whatever a program does, beside what 0001, 0003 and 0005 say:

- a hold is an account of its own, so what it spends and returns is never more than it has (`posting_balance`);
- what a hold returns, or is given back of what it spent, goes to the lots it came from: a use with a negative amount,
  which only such a transaction into the lot's account may write, and never more than was used of the lot: the trigger
  on `lot_use`;
- a hold is for one cause, and neither its organisation nor its cause changes: a trigger on `credit_hold`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.migrations import replace_check

revision = "0007"
down_revision = "0006"

#: Constraints that grow, with what they allow from here on.
_GROWN = (
    (
        "ledger_account",
        "ledger_account_kind",
        "kind IN ('issuance', 'organization', 'card', 'hold', 'usage', 'expiry')",
    ),
    ("ledger_account", "ledger_account_bounded", "bounded = (kind IN ('organization', 'card', 'hold'))"),
    (
        "ledger_transaction",
        "ledger_transaction_kind",
        "kind IN ('grant', 'issue', 'claim', 'recall', 'spend', 'expiry', 'reversal', 'adjustment', 'split', "
        "'hold', 'release', 'give_back')",
    ),
    ("lot_use", "lot_use_amount", "amount <> 0"),
)

_USED = "(SELECT COALESCE(SUM(amount), 0) FROM lot_use WHERE lot_id = NEW.lot_id)"
# what a use must not be: of what is no lot; more than its lot has left, of a lot that came to another account, or at
# the wrong time; and what a return must not be: more than was used, to another account, or by anything but a return
_WRONG_USE = f"""
    (SELECT kind FROM ledger_transaction WHERE id = NEW.lot_id) IN ('release', 'give_back')
    OR NEW.amount > 0 AND (
        NEW.amount + {_USED} > (SELECT amount FROM ledger_transaction WHERE id = NEW.lot_id)
        OR (SELECT destination_id FROM ledger_transaction WHERE id = NEW.lot_id)
            <> (SELECT source_id FROM ledger_transaction WHERE id = NEW.transaction_id)
        OR EXISTS (SELECT 1 FROM ledger_transaction lot, ledger_transaction taking
            WHERE lot.id = NEW.lot_id AND taking.id = NEW.transaction_id AND taking.kind <> 'reversal'
            AND (taking.kind = 'expiry') <> (lot.expires_at IS NOT NULL AND lot.expires_at <= taking.occurred_at))
    )
    OR NEW.amount < 0 AND (
        NEW.amount + {_USED} < 0
        OR (SELECT destination_id FROM ledger_transaction WHERE id = NEW.lot_id)
            <> (SELECT destination_id FROM ledger_transaction WHERE id = NEW.transaction_id)
        OR (SELECT kind FROM ledger_transaction WHERE id = NEW.transaction_id) NOT IN ('release', 'give_back')
    )
"""  # noqa: S608  # our own text

_FROZEN = "id, cause, organization_id, memo, held_at"


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    for table, name, condition in _GROWN:
        replace_check(table, name, condition)
    op.create_table(
        "credit_hold",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("cause", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("credits", sa.BigInteger, nullable=False),
        sa.Column("memo", sa.String(200), nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("given_back", sa.BigInteger, nullable=False),
        sa.Column("held_at", UtcDateTimeColumn, nullable=False),
        sa.Column("settled_at", UtcDateTimeColumn),
        sa.Column("given_back_at", UtcDateTimeColumn),
        sa.UniqueConstraint("cause", name="credit_hold_cause"),
        sa.CheckConstraint("credits > 0", name="credit_hold_credits"),
        sa.CheckConstraint("spent BETWEEN 0 AND credits", name="credit_hold_spent"),
        sa.CheckConstraint("spent = 0 OR settled_at IS NOT NULL", name="credit_hold_settled_at"),
        sa.CheckConstraint("given_back BETWEEN 0 AND spent", name="credit_hold_given_back"),
        sa.CheckConstraint("given_back = 0 OR given_back_at IS NOT NULL", name="credit_hold_given_back_at"),
    )
    held = sa.text("settled_at IS NULL")
    op.create_index(
        "credit_hold_held", "credit_hold", ["organization_id"], sqlite_where=held, postgresql_where=held
    )  # fmt: skip
    if postgres:
        _guard_postgresql()
    else:
        _guard_sqlite()


def _guard_postgresql() -> None:
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
    op.execute(
        f"CREATE TRIGGER credit_hold_frozen BEFORE UPDATE OF {_FROZEN} ON credit_hold "
        "FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER credit_hold_kept BEFORE DELETE OR TRUNCATE ON credit_hold "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()"
    )


def _guard_sqlite() -> None:
    op.execute("DROP TRIGGER lot_use_check")
    op.execute(
        "CREATE TRIGGER lot_use_check BEFORE INSERT ON lot_use "
        f"WHEN typeof(NEW.amount) <> 'integer' OR {_WRONG_USE} "
        "BEGIN SELECT RAISE(ABORT, 'a lot has not so many credits'); END"
    )
    for name, change in (("frozen", f"UPDATE OF {_FROZEN}"), ("kept", "DELETE")):
        op.execute(
            f"CREATE TRIGGER credit_hold_{name} BEFORE {change} ON credit_hold "
            "BEGIN SELECT RAISE(ABORT, 'a hold is kept'); END"
        )
