"""What must always be so, as queries that find where it is not. Each is one statement, so it sees one moment."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, UtcDateTimeColumn
from credits.domain.cards import HOLDING, CardState, FrozenBy
from credits.domain.disputes import DisputeState
from credits.storage.ledger import RETURNS
from credits.storage.tables import (
    CREDIT_HOLD,
    DISPUTED_ORDER,
    LEDGER_ACCOUNT,
    LEDGER_TRANSACTION,
    LOT_USE,
    POSTING,
    REVERSED_ORDER,
    SUPPORT_CARD,
)

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
_PART = SUPPORT_CARD.alias("part")
_ON_PARTS: sa.ColumnElement[int] = sa.cast(sa.func.coalesce(sa.func.sum(_PART.c.credits), 0), sa.BigInteger)
# what left an organisation, and what its lots were used for: the same, if each credit left by a lot
_LOT = POSTING.alias("lot")
_USED: sa.ColumnElement[int] = sa.cast(
    sa.func.coalesce(
        sa.select(sa.func.sum(LOT_USE.c.amount))
        .join(_LOT, sa.and_(_LOT.c.transaction_id == LOT_USE.c.lot_id, _LOT.c.amount > 0))
        .where(_LOT.c.account_id == LEDGER_ACCOUNT.c.id)
        .scalar_subquery(),
        0,
    ),
    sa.BigInteger,
)
_LEFT: sa.ColumnElement[int] = -_SUM
_RETURNED = sa.select(LEDGER_TRANSACTION.c.id).where(LEDGER_TRANSACTION.c.kind.in_(RETURNS))
_LEAVES_OR_RETURNS = sa.or_(POSTING.c.amount < 0, POSTING.c.transaction_id.in_(_RETURNED))
_HELD = sa.case((CREDIT_HOLD.c.settled_at.is_(None), CREDIT_HOLD.c.credits), else_=0)


def _breaks(
    subject: sa.ColumnElement[str], expected: sa.ColumnElement[int], found: sa.ColumnElement[int]
) -> sa.Select[str, int, int]:
    return sa.select(subject.label("subject"), expected.label("expected"), found.label("found"))


# what could get away of an order whose payment is disputed, or was taken back for good
_ORDERS_LOT = LEDGER_TRANSACTION.alias("orders_lot")
_LOTS_LEFT = sa.func.coalesce(
    sa.select(
        sa.func.sum(
            _ORDERS_LOT.c.amount
            - sa.func.coalesce(
                sa.select(sa.func.sum(LOT_USE.c.amount)).where(LOT_USE.c.lot_id == _ORDERS_LOT.c.id).scalar_subquery(),
                0,
            )
        )
    )
    .where(
        _ORDERS_LOT.c.order_id == DISPUTED_ORDER.c.order_id,
        _ORDERS_LOT.c.destination_id.startswith("organization:"),
        _ORDERS_LOT.c.kind.not_in(RETURNS),
        sa.or_(
            _ORDERS_LOT.c.expires_at.is_(None), _ORDERS_LOT.c.expires_at > sa.bindparam("now", type_=UtcDateTimeColumn)
        ),
    )
    .correlate(DISPUTED_ORDER)
    .scalar_subquery(),
    0,
)
_TAKEN_WHOLE = sa.exists().where(REVERSED_ORDER.c.order_id == DISPUTED_ORDER.c.order_id)
_ON_FREE_CARDS = sa.func.coalesce(
    sa.select(sa.func.sum(SUPPORT_CARD.c.credits))
    .where(
        SUPPORT_CARD.c.order_id == DISPUTED_ORDER.c.order_id,
        sa.or_(
            SUPPORT_CARD.c.state == CardState.ISSUED,
            sa.and_(SUPPORT_CARD.c.state == CardState.FROZEN, SUPPORT_CARD.c.frozen_by != FrozenBy.DISPUTE),
            sa.and_(SUPPORT_CARD.c.state == CardState.FROZEN, DISPUTED_ORDER.c.state != DisputeState.OPEN),
        ),
    )
    .correlate(DISPUTED_ORDER)
    .scalar_subquery(),
    0,
)
_FREE: sa.ColumnElement[int] = sa.cast(_LOTS_LEFT + _ON_FREE_CARDS, sa.BigInteger)


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
    "credits_leave_by_lots": (
        _breaks(LEDGER_ACCOUNT.c.id, _LEFT, _USED)
        .select_from(LEDGER_ACCOUNT)
        .outerjoin(POSTING, sa.and_(POSTING.c.account_id == LEDGER_ACCOUNT.c.id, _LEAVES_OR_RETURNS))
        .where(LEDGER_ACCOUNT.c.kind == "organization")
        .group_by(LEDGER_ACCOUNT.c.id)
        .having(_LEFT != _USED)
    ),
    "card_holds_its_credits": (
        _breaks(SUPPORT_CARD.c.id, _DUE, _SUM)
        .outerjoin(POSTING, POSTING.c.account_id == "card:" + SUPPORT_CARD.c.id)
        .group_by(SUPPORT_CARD.c.id)
        .having(_SUM != _DUE)
    ),
    "split_keeps_its_credits": (
        _breaks(SUPPORT_CARD.c.id, SUPPORT_CARD.c.credits, _ON_PARTS)
        .outerjoin(_PART, _PART.c.parent_id == SUPPORT_CARD.c.id)
        .group_by(SUPPORT_CARD.c.id)
        .having(sa.case((SUPPORT_CARD.c.state == CardState.SPLIT, SUPPORT_CARD.c.credits), else_=0) != _ON_PARTS)
    ),
    "hold_has_its_credits": (
        _breaks(CREDIT_HOLD.c.id, _HELD, _SUM)
        .select_from(CREDIT_HOLD)
        .outerjoin(POSTING, POSTING.c.account_id == "hold:" + CREDIT_HOLD.c.id)
        .group_by(CREDIT_HOLD.c.id)
        .having(_SUM != _HELD)
    ),
    # a part that was lost leaves the rest
    "disputed_order_has_nothing_unspent": (
        _breaks(DISPUTED_ORDER.c.order_id, _ZERO, _FREE)
        .where(
            sa.or_(
                DISPUTED_ORDER.c.state == DisputeState.OPEN,
                sa.and_(DISPUTED_ORDER.c.state == DisputeState.LOST, _TAKEN_WHOLE),
            )
        )
        .where(_FREE != 0)
    ),
}


def find_breaks(reader: Reader, rule: str) -> list[dict[str, Any]]:
    """Where a rule is broken, as subject, expected, found; empty when all is well."""
    return [dict(row) for row in reader.all(RULES[rule].params(now=reader.now))]


def totals(reader: Reader) -> dict[str, int]:
    """Where all credits are that were ever brought; one statement, so that it sees one moment.

    Returns:
        brought (by orders) and given (by staff), and their sum again in parts: on_organizations, on_cards, on_hold,
        spent, expired, taken_back, taken_off.
    """
    amount = sa.cast(sa.func.sum(POSTING.c.amount), sa.BigInteger)
    rows = reader.all(
        sa.select(
            LEDGER_ACCOUNT.c.kind.label("account"),
            POSTING.c.side,
            LEDGER_TRANSACTION.c.kind,
            LEDGER_TRANSACTION.c.free,
            amount.label("amount"),
        )
        .select_from(POSTING)
        .join(LEDGER_ACCOUNT, LEDGER_ACCOUNT.c.id == POSTING.c.account_id)
        .join(LEDGER_TRANSACTION, LEDGER_TRANSACTION.c.id == POSTING.c.transaction_id)
        .group_by(LEDGER_ACCOUNT.c.kind, POSTING.c.side, LEDGER_TRANSACTION.c.kind, LEDGER_TRANSACTION.c.free)
    )
    found: dict[str, int] = {}
    for row in rows:
        where = row["account"]
        if where == "issuance" and row["side"] == "source":
            where = "given" if row["free"] else "brought"
        elif where == "issuance" and row["kind"] == "adjustment":
            where = "taken_off"
        found[where] = found.get(where, 0) + int(row["amount"])
    return {
        "brought": -found.get("brought", 0),
        "given": -found.get("given", 0),
        "on_organizations": found.get("organization", 0),
        "on_cards": found.get("card", 0),
        "on_hold": found.get("hold", 0),
        "spent": found.get("usage", 0),
        "expired": found.get("expiry", 0),
        "taken_back": found.get("issuance", 0),
        "taken_off": found.get("taken_off", 0),
    }
