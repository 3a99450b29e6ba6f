"""Spending, expiry and taking back: more kinds of accounts and transactions, lots, and the orders that were taken back.

What holds whatever a program does, beside what 0001 says:

- a lot is not used beyond what it brought, and only by what leaves the account that it came to: a trigger on `lot_use`;
- uses are never changed or removed: triggers refuse it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.migrations import replace_check

revision = "0003"
down_revision = "0002"

#: Constraints that grow, with what they allow from here on.
_GROWN = (
    ("ledger_account", "ledger_account_kind", "kind IN ('issuance', 'organization', 'card', 'usage', 'expiry')"),
    ("ledger_account", "ledger_account_bounded", "bounded = (kind IN ('organization', 'card'))"),
    (
        "ledger_transaction",
        "ledger_transaction_kind",
        "kind IN ('grant', 'issue', 'claim', 'recall', 'spend', 'expiry', 'reversal')",
    ),
)
_HOLDING = "state IN ('issued', 'frozen')"

# what a use must not be: more than its lot has left, or of a lot that came to another account
_WRONG_USE = """
    NEW.amount + (SELECT COALESCE(SUM(amount), 0) FROM lot_use WHERE lot_id = NEW.lot_id)
        > (SELECT amount FROM ledger_transaction WHERE id = NEW.lot_id)
    OR (SELECT destination_id FROM ledger_transaction WHERE id = NEW.lot_id)
        <> (SELECT source_id FROM ledger_transaction WHERE id = NEW.transaction_id)
"""


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    for table, name, condition in _GROWN:
        replace_check(table, name, condition)
    op.execute(
        "INSERT INTO ledger_account (id, kind, owner_id, bounded) VALUES "
        "('usage:punchcard', 'usage', 'punchcard', false), ('expiry:punchcard', 'expiry', 'punchcard', false)"
    )
    _create_tables()
    if postgres:
        _guard_postgresql()
    else:
        _guard_sqlite()


def _create_tables() -> None:
    op.create_table(
        "lot_use",
        sa.Column("lot_id", sa.String(64), sa.ForeignKey("ledger_transaction.id"), primary_key=True),
        sa.Column("transaction_id", sa.String(64), sa.ForeignKey("ledger_transaction.id"), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount > 0", name="lot_use_amount"),
    )
    op.create_table(
        "reversed_order",
        sa.Column("refund_id", sa.String(64), primary_key=True),
        sa.Column("order_id", sa.String(64), nullable=False, unique=True),
        sa.Column("taken_back", sa.BigInteger, nullable=False),
        sa.Column("claimed", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("expired", sa.BigInteger, nullable=False),
        sa.Column("reversed_at", UtcDateTimeColumn, nullable=False),
    )
    holding = sa.text(_HOLDING)
    op.create_index(
        "support_card_due", "support_card", ["expires_at"], sqlite_where=holding, postgresql_where=holding
    )  # fmt: skip


def _guard_postgresql() -> None:
    op.execute(
        f"""
        CREATE FUNCTION lot_use_check() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {_WRONG_USE} THEN
                RAISE EXCEPTION 'a lot has not so many credits' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute("CREATE TRIGGER lot_use_check BEFORE INSERT ON lot_use FOR EACH ROW EXECUTE FUNCTION lot_use_check()")
    op.execute(
        "CREATE TRIGGER lot_use_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lot_use "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()"
    )


def _guard_sqlite() -> None:
    op.execute(
        f"CREATE TRIGGER lot_use_check BEFORE INSERT ON lot_use WHEN typeof(NEW.amount) <> 'integer' OR {_WRONG_USE} "
        "BEGIN SELECT RAISE(ABORT, 'a lot has not so many credits'); END"
    )
    # INSERT OR REPLACE removes the old row without asking its DELETE trigger
    op.execute(
        "CREATE TRIGGER lot_use_no_replace BEFORE INSERT ON lot_use WHEN EXISTS (SELECT 1 FROM lot_use "
        "WHERE lot_id = NEW.lot_id AND transaction_id = NEW.transaction_id) "
        "BEGIN SELECT RAISE(ABORT, 'this use is written'); END"
    )
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER lot_use_no_{change.lower()} BEFORE {change} ON lot_use "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        )
