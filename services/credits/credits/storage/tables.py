"""The tables. Their triggers, which make the ledger what it is, are in migrations/versions."""

from __future__ import annotations

import sqlalchemy as sa

from chassis.persistence import UtcDateTimeColumn, add_messaging_tables, failure_table

METADATA = sa.MetaData()
add_messaging_tables(METADATA)

#: Claims and previews that were refused of late.
FAILURE = failure_table(METADATA)

_HOLDING = sa.text("state IN ('issued', 'frozen')")
_HELD = sa.text("settled_at IS NULL")
_EXPIRING = sa.text("expires_at IS NOT NULL")

#: Where credits can be. A bounded account keeps a balance that is never negative; an unbounded one (the outside world,
#: from which all credits come) keeps none, so that no two transactions ever wait for each other there.
LEDGER_ACCOUNT = sa.Table(
    "ledger_account",
    METADATA,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("owner_id", sa.String(64), nullable=False),
    sa.Column("bounded", sa.Boolean, nullable=False),
    sa.UniqueConstraint("kind", "owner_id", name="ledger_account_owner"),
    sa.CheckConstraint(
        "kind IN ('issuance', 'organization', 'card', 'hold', 'usage', 'expiry')", name="ledger_account_kind"
    ),
    sa.CheckConstraint("bounded = (kind IN ('organization', 'card', 'hold'))", name="ledger_account_bounded"),
)

#: `amount` credits went from one account to another. A trigger writes its two postings; nobody else can.
LEDGER_TRANSACTION = sa.Table(
    "ledger_transaction",
    METADATA,
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
    # of the lot that it brings: from when on that cannot be used, and whether it was given rather than bought
    sa.Column("expires_at", UtcDateTimeColumn),
    sa.Column("free", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("cause", name="ledger_transaction_cause"),
    sa.CheckConstraint(
        "kind IN ('grant', 'issue', 'claim', 'recall', 'spend', 'expiry', 'reversal', 'adjustment', 'split', "
        "'hold', 'release', 'give_back')",
        name="ledger_transaction_kind",
    ),
    sa.CheckConstraint("amount > 0", name="ledger_transaction_amount"),
    sa.CheckConstraint("source_id <> destination_id", name="ledger_transaction_accounts"),
    sa.Index("ledger_transaction_due", "destination_id", "expires_at", sqlite_where=_EXPIRING,
             postgresql_where=_EXPIRING),
)  # fmt: skip

#: One side of a transaction: the signed amount and, for a bounded account, its number there and the balance after it.
POSTING = sa.Table(
    "posting",
    METADATA,
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

#: Which credits left an organisation: a lot is the transaction that brought credits to its account, a use is what
#: another one took of it; negative: what was returned to it. A lot has its amount without its uses left; a trigger lets
#: none be used beyond that, nor after its time.
LOT_USE = sa.Table(
    "lot_use",
    METADATA,
    sa.Column("lot_id", sa.String(64), sa.ForeignKey("ledger_transaction.id"), primary_key=True),
    sa.Column("transaction_id", sa.String(64), sa.ForeignKey("ledger_transaction.id"), primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.CheckConstraint("amount <> 0", name="lot_use_amount"),
)

#: Credits that are held for something; each hold is an account too. A trigger lets nobody change what it is for.
CREDIT_HOLD = sa.Table(
    "credit_hold",
    METADATA,
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
    sa.Index("credit_hold_held", "organization_id", sqlite_where=_HELD, postgresql_where=_HELD),
)

#: The orders all of whose credits were taken back, for a refund or (then the id is its) a lost dispute, once each,
#: with what became of all that they had brought.
REVERSED_ORDER = sa.Table(
    "reversed_order",
    METADATA,
    sa.Column("refund_id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), nullable=False, unique=True),
    sa.Column("taken_back", sa.BigInteger, nullable=False),
    sa.Column("claimed", sa.BigInteger, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("expired", sa.BigInteger, nullable=False),
    sa.Column("reversed_at", UtcDateTimeColumn, nullable=False),
)

#: What was taken back for refunds of some lines of an order.
REVERSED_PART = sa.Table(
    "reversed_part",
    METADATA,
    sa.Column("refund_id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), nullable=False),
    sa.Column("taken_back", sa.BigInteger, nullable=False),
    sa.Column("claimed", sa.BigInteger, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("expired", sa.BigInteger, nullable=False),
    sa.Column("reversed_at", UtcDateTimeColumn, nullable=False),
    sa.Index("reversed_part_order", "order_id"),
)

#: The orders whose payment is or was disputed, with what was taken back because that was lost.
DISPUTED_ORDER = sa.Table(
    "disputed_order",
    METADATA,
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

#: The orders that were credited, once each, with what later events say about them.
CREDITED_ORDER = sa.Table(
    "credited_order",
    METADATA,
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

#: The cards. Of the claim code only its HMAC is here.
SUPPORT_CARD = sa.Table(
    "support_card",
    METADATA,
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
    # of its credits, from the day they come to an organisation; as it was when the card was issued
    sa.Column("credits_valid_days", sa.Integer),
    # the card that this one was split off, and the one that the order brought; null for that one itself
    sa.Column("parent_id", sa.String(64)),
    sa.Column("root_id", sa.String(64)),
    # how many claim codes it has had; the last one is good
    sa.Column("code_issue", sa.Integer, nullable=False, server_default="1"),
    sa.Column("frozen_by", sa.String(10)),
    # who may claim it; both null: whoever has number and code
    sa.Column("bound_organization_number", sa.String(64)),
    sa.Column("bound_mail_domain", sa.String(253)),
    # when to remind the buyer that it expires; null: not any more, or not at all
    sa.Column("remind_at", UtcDateTimeColumn),
    # who had frozen it when a dispute froze it; null: nobody
    sa.Column("frozen_before", sa.String(10)),
    sa.UniqueConstraint("number", name="support_card_number"),
    sa.UniqueConstraint("order_line_id", "sequence", name="support_card_unit"),
    sa.CheckConstraint(
        "state IN ('issued', 'claimed', 'recalled', 'expired', 'frozen', 'split')", name="support_card_state"
    ),
    sa.CheckConstraint("credits > 0", name="support_card_credits"),
    sa.CheckConstraint("sequence > 0", name="support_card_sequence"),
    sa.CheckConstraint("(state = 'claimed') = (claimant_id IS NOT NULL)", name="support_card_claimant"),
    sa.CheckConstraint("(state = 'claimed') = (claimed_at IS NOT NULL)", name="support_card_claimed_at"),
    sa.Index("support_card_issuer", "issuer_id", "id"),
    sa.Index("support_card_claimant_id", "claimant_id", "id"),
    sa.Index("support_card_order", "order_id"),
    *(
        sa.Index(f"support_card_{name}", column, sqlite_where=given, postgresql_where=given)
        for name, column, given in (
            ("parent", "parent_id", sa.text("parent_id IS NOT NULL")),
            ("root", "root_id", sa.text("root_id IS NOT NULL")),
            ("remind", "remind_at", sa.text("remind_at IS NOT NULL")),
        )
    ),
    sa.Index("support_card_due", "expires_at", sqlite_where=_HOLDING, postgresql_where=_HOLDING),
)  # fmt: skip

#: Who wants to be told when an organisation's balance falls below a threshold.
BALANCE_ALERT = sa.Table(
    "balance_alert",
    METADATA,
    sa.Column("organization_id", sa.String(64), primary_key=True),
    sa.Column("organization_name", sa.String(200), nullable=False),
    sa.Column("threshold", sa.BigInteger, nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("language", sa.String(20), nullable=False),
    sa.Column("set_at", UtcDateTimeColumn, nullable=False),
    sa.CheckConstraint("threshold > 0", name="balance_alert_threshold"),
)

#: What reconciliations of the whole store have found; `looked_at` and `breaks` are JSON.
RECONCILIATION = sa.Table(
    "reconciliation",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("began_at", UtcDateTimeColumn, nullable=False),
    sa.Column("ended_at", UtcDateTimeColumn, nullable=False),
    sa.Column("looked_at", sa.Text, nullable=False),
    sa.Column("breaks_count", sa.Integer, nullable=False),
    sa.Column("breaks", sa.Text, nullable=False),
    sa.Index("reconciliation_ended_at", "ended_at"),
)
