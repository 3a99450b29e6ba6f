"""What must always be so, as queries that find where it is not. Each is one statement, so it sees one moment."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader
from credits.domain.cards import HOLDING
from credits.storage.tables import LEDGER_ACCOUNT, LEDGER_TRANSACTION, POSTING, SUPPORT_CARD

_ZERO: sa.ColumnElement[int] = sa.literal(0)
# PostgreSQL sums 64-bit integers as NUMERIC
_SUM: sa.ColumnElement[int] = sa.cast(sa.func.coalesce(sa.func.sum(POSTING.c.amount), 0), sa.BigInteger)
_NEWEST = POSTING.alias("newest")
_BALANCE = (
    sa.select(_NEWEST.c.balance_after)
    .where(_NEWEST.c.account_id == LEDGER_ACCOUNT.c.id)
    .order_by(_NEWEST.c.sequence.desc())
    .limit(1)
)
_KEPT: sa.ColumnElement[int] = sa.func.coalesce(_BALANCE.scalar_subquery(), 0)
_DUE = sa.case((SUPPORT_CARD.c.state.in_(sorted(HOLDING)), SUPPORT_CARD.c.credits), else_=0)


def _breaks(
    subject: sa.ColumnElement[str], expected: sa.ColumnElement[int], found: sa.ColumnElement[int]
) -> sa.Select[str, int, int]:
    return sa.select(subject.label("subject"), expected.label("expected"), found.label("found"))


#: By name of the rule, a query of every place where it is broken.
RULES: dict[str, sa.Select[str, int, int]] = {
    "transaction_sums_to_zero": (
        _breaks(LEDGER_TRANSACTION.c.id, _ZERO, _SUM)
        .outerjoin(POSTING, POSTING.c.transaction_id == LEDGER_TRANSACTION.c.id)
        .group_by(LEDGER_TRANSACTION.c.id)
        .having(sa.or_(_SUM != 0, sa.func.count(POSTING.c.side) != 2))
    ),
    "balance_is_sum_of_postings": (
        _breaks(LEDGER_ACCOUNT.c.id, _SUM, _KEPT)
        .outerjoin(POSTING, POSTING.c.account_id == LEDGER_ACCOUNT.c.id)
        .where(LEDGER_ACCOUNT.c.bounded)
        .group_by(LEDGER_ACCOUNT.c.id)
        .having(_KEPT != _SUM)
    ),
    "balance_is_not_negative": (
        _breaks(POSTING.c.account_id, _ZERO, sa.func.min(POSTING.c.balance_after))
        .where(POSTING.c.balance_after < 0)
        .group_by(POSTING.c.account_id)
    ),
    "card_holds_its_credits": (
        _breaks(SUPPORT_CARD.c.id, _DUE, _SUM)
        .outerjoin(POSTING, POSTING.c.account_id == "card:" + SUPPORT_CARD.c.id)
        .group_by(SUPPORT_CARD.c.id)
        .having(_SUM != _DUE)
    ),
}


def find_breaks(reader: Reader, rule: str) -> list[dict[str, Any]]:
    """Where a rule is broken, as subject, expected, found; empty when all is well."""
    return [dict(row) for row in reader.all(RULES[rule])]
