"""The ledger with the triggers that keep it right, the credited orders, and the cards.

What holds whatever a program does (see the README, "The ledger"):

- a transaction has two postings, minus and plus its amount: a trigger writes both, and the primary key
  (transaction, side) leaves no room for a third;
- a posting's balance is the one before it plus its amount: the same trigger computes it, under a lock on the account;
- no balance is negative: a CHECK on every posting;
- nothing is changed or removed: triggers refuse it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.tables import METADATA

revision = "0001"
down_revision = None

_LEDGER = ("ledger_account", "ledger_transaction", "posting")

# One side of a transaction. Both databases understand it; it runs inside the trigger on ledger_transaction.
_POST_SIDE = """
    INSERT INTO posting (transaction_id, side, account_id, amount, sequence, balance_after)
    SELECT NEW.id, '{side}', account.id, {sign} NEW.amount,
           CASE WHEN account.bounded THEN 1 + COALESCE((SELECT newest.sequence FROM posting newest
               WHERE newest.account_id = account.id ORDER BY newest.sequence DESC LIMIT 1), 0) END,
           CASE WHEN account.bounded THEN {sign} NEW.amount + COALESCE((SELECT newest.balance_after FROM posting newest
               WHERE newest.account_id = account.id ORDER BY newest.sequence DESC LIMIT 1), 0) END
    FROM ledger_account account WHERE account.id = NEW.{side}_id;
"""
_POST_BOTH = _POST_SIDE.format(side="source", sign="-") + _POST_SIDE.format(side="destination", sign="+")


def upgrade() -> None:
    METADATA.create_all(op.get_bind())
    _create_ledger()
    _create_cards()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()
    op.execute(
        "INSERT INTO ledger_account (id, kind, owner_id, bounded) "
        "VALUES ('issuance:punchcard', 'issuance', 'punchcard', false)"
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger_account",
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("bounded", sa.Boolean, nullable=False),
        sa.UniqueConstraint("kind", "owner_id", name="ledger_account_owner"),
        sa.CheckConstraint("kind IN ('issuance', 'organization', 'card')", name="ledger_account_kind"),
        sa.CheckConstraint("bounded = (kind <> 'issuance')", name="ledger_account_bounded"),
    )
    op.create_table(
        "ledger_transaction",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("cause", sa.String(150), nullable=False),
        sa.Column("source_id", sa.String(100), sa.ForeignKey("ledger_account.id"), nullable=False),
        sa.Column("destination_id", sa.String(100), sa.ForeignKey("ledger_account.id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("memo", sa.String(400), nullable=False),
        sa.Column("order_id", sa.String(64)),
        sa.Column("card_id", sa.String(64)),
        sa.Column("occurred_at", UtcDateTimeColumn, nullable=False),
        sa.UniqueConstraint("cause", name="ledger_transaction_cause"),
        sa.CheckConstraint("kind IN ('grant', 'issue', 'claim')", name="ledger_transaction_kind"),
        sa.CheckConstraint("amount > 0", name="ledger_transaction_amount"),
        sa.CheckConstraint("source_id <> destination_id", name="ledger_transaction_accounts"),
    )
    op.create_table(
        "posting",
        sa.Column("transaction_id", sa.String(64), sa.ForeignKey("ledger_transaction.id"), primary_key=True),
        sa.Column("side", sa.String(11), primary_key=True),
        sa.Column("account_id", sa.String(100), sa.ForeignKey("ledger_account.id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("balance_after", sa.BigInteger),
        sa.UniqueConstraint("account_id", "sequence", name="posting_sequence"),
        sa.CheckConstraint("side IN ('source', 'destination')", name="posting_side"),
        sa.CheckConstraint("balance_after >= 0", name="posting_balance"),
        sa.CheckConstraint("(sequence IS NULL) = (balance_after IS NULL)", name="posting_bounded"),
    )


def _create_cards() -> None:
    op.create_table(
        "credited_order",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("organization_name", sa.String(200), nullable=False),
        sa.Column("buyer_user_id", sa.String(64), nullable=False),
        sa.Column("buyer_email", sa.String(320), nullable=False),
        sa.Column("buyer_name", sa.String(200), nullable=False),
        sa.Column("buyer_language", sa.String(20), nullable=False),
        sa.Column("credited_at", UtcDateTimeColumn, nullable=False),
    )
    op.create_table(
        "support_card",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number", sa.String(18), nullable=False),
        sa.Column("code_mac", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("credits", sa.BigInteger, nullable=False),
        sa.Column("order_id", sa.String(64), sa.ForeignKey("credited_order.id"), nullable=False),
        sa.Column("order_line_id", sa.String(64), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("issuer_id", sa.String(64), nullable=False),
        sa.Column("issued_at", UtcDateTimeColumn, nullable=False),
        sa.Column("expires_at", UtcDateTimeColumn),
        sa.Column("claimant_id", sa.String(64)),
        sa.Column("claimant_name", sa.String(200)),
        sa.Column("claimed_by_user_id", sa.String(64)),
        sa.Column("claimed_at", UtcDateTimeColumn),
        sa.UniqueConstraint("number", name="support_card_number"),
        sa.UniqueConstraint("order_line_id", "sequence", name="support_card_unit"),
        sa.CheckConstraint(
            "state IN ('issued', 'claimed', 'recalled', 'expired', 'frozen')", name="support_card_state"
        ),
        sa.CheckConstraint("credits > 0", name="support_card_credits"),
        sa.CheckConstraint("sequence > 0", name="support_card_sequence"),
        sa.CheckConstraint("(state = 'claimed') = (claimant_id IS NOT NULL)", name="support_card_claimant"),
        sa.CheckConstraint("(state = 'claimed') = (claimed_at IS NOT NULL)", name="support_card_claimed_at"),
        sa.Index("support_card_issuer", "issuer_id", "id"),
        sa.Index("support_card_claimant_id", "claimant_id", "id"),
        sa.Index("support_card_order", "order_id"),
    )


def _guard_postgresql() -> None:
    # The accounts are locked in the order of their ids, so that two transactions cannot wait for each other; NO KEY,
    # so that the foreign key of a posting elsewhere does not wait. Unbounded accounts are not locked at all.
    op.execute(
        f"""
        CREATE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM 1 FROM ledger_account WHERE id IN (NEW.source_id, NEW.destination_id) AND bounded
                ORDER BY id FOR NO KEY UPDATE;
            {_POST_BOTH}
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER ledger_transaction_post AFTER INSERT ON ledger_transaction "
        "FOR EACH ROW EXECUTE FUNCTION ledger_post()"
    )
    op.execute(
        """
        CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in _LEDGER:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()"
        )


def _guard_sqlite() -> None:
    op.execute(f"CREATE TRIGGER ledger_transaction_post AFTER INSERT ON ledger_transaction BEGIN {_POST_BOTH} END")
    for table in _LEDGER:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
    # INSERT OR REPLACE removes the old row without asking its DELETE trigger: so the row that is there stays. For an
    # account silently, as in INSERT ... ON CONFLICT DO NOTHING, which opens accounts; for the others with an error.
    op.execute(
        "CREATE TRIGGER ledger_account_no_replace BEFORE INSERT ON ledger_account WHEN EXISTS (SELECT 1 "
        "FROM ledger_account WHERE id = NEW.id OR (kind = NEW.kind AND owner_id = NEW.owner_id)) "
        "BEGIN SELECT RAISE(IGNORE); END"
    )
    op.execute(
        "CREATE TRIGGER ledger_transaction_no_replace BEFORE INSERT ON ledger_transaction WHEN EXISTS (SELECT 1 "
        "FROM ledger_transaction WHERE id = NEW.id OR cause = NEW.cause) "
        "BEGIN SELECT RAISE(ABORT, 'this cause was posted before'); END"
    )
    op.execute(
        "CREATE TRIGGER posting_no_replace BEFORE INSERT ON posting WHEN EXISTS (SELECT 1 FROM posting "
        "WHERE (transaction_id = NEW.transaction_id AND side = NEW.side) "
        "OR (account_id = NEW.account_id AND sequence = NEW.sequence)) "
        "BEGIN SELECT RAISE(ABORT, 'the postings of this transaction are written'); END"
    )
    # SQLite would keep a fraction or a text in an integer column, and take a posting without a transaction where
    # foreign keys are off (its default).
    op.execute(
        "CREATE TRIGGER ledger_transaction_check BEFORE INSERT ON ledger_transaction "
        "WHEN typeof(NEW.amount) <> 'integer' OR 2 <> (SELECT count(*) FROM ledger_account "
        "WHERE id IN (NEW.source_id, NEW.destination_id)) "
        "BEGIN SELECT RAISE(ABORT, 'a transaction moves whole credits between two accounts'); END"
    )
    op.execute(
        "CREATE TRIGGER posting_check BEFORE INSERT ON posting WHEN NOT EXISTS (SELECT 1 FROM ledger_transaction "
        "WHERE id = NEW.transaction_id) BEGIN SELECT RAISE(ABORT, 'a posting belongs to a transaction'); END"
    )
