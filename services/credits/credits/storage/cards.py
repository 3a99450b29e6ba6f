"""The credited orders and their cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chassis.persistence import IntegrityError, Reader, Row, Transaction
from chassis.persistence.paging import page
from chassis.persistence.statements import violates
from credits.domain.cards import HOLDING, CardState, FrozenBy
from credits.storage.tables import CREDITED_ORDER, SUPPORT_CARD

#: A stored card together with what its order says of the buyer.
CardRow = dict[str, Any]

_CARD_WITH_ORDER: sa.Select[Any] = sa.select(
    SUPPORT_CARD,
    CREDITED_ORDER.c.organization_name.label("issuer_name"),
    CREDITED_ORDER.c.number.label("order_number"),
    CREDITED_ORDER.c.buyer_user_id,
    CREDITED_ORDER.c.buyer_email,
    CREDITED_ORDER.c.buyer_name,
    CREDITED_ORDER.c.buyer_language,
).join(CREDITED_ORDER, CREDITED_ORDER.c.id == SUPPORT_CARD.c.order_id)


def begin_order(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Note that an order is being credited.

    Raises:
        IntegrityError: it was credited before (with the next statement or the commit; waits for one that is at it).
    """
    tx.insert(CREDITED_ORDER, {**values, "credited_at": tx.now})


def is_begun(error: IntegrityError) -> bool:
    """Whether an order could not be begun because it was credited before."""
    return violates(error, "credited_order_pkey", "credited_order.id")


def add_card(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Keep a new card."""
    tx.insert(SUPPORT_CARD, {**values, "state": CardState.ISSUED, "issued_at": tx.now})


def find_by_number(reader: Reader, number: str) -> CardRow | None:
    """The card with a number."""
    return _plain(reader.one(_CARD_WITH_ORDER.where(SUPPORT_CARD.c.number == number)))


def lock_by_number(tx: Transaction, number: str) -> CardRow | None:
    """The card with a number, which nobody else may change until the transaction ends."""
    return _plain(tx.one(_CARD_WITH_ORDER.where(SUPPORT_CARD.c.number == number).with_for_update(of=SUPPORT_CARD)))


def mark_claimed(tx: Transaction, card_id: str, claimant: Mapping[str, str]) -> bool:
    """Take a card from issued to claimed; False if it was not issued.

    Args:
        tx: where.
        card_id: the card.
        claimant: claimant_id, claimant_name, claimed_by_user_id.
    """
    guard = (SUPPORT_CARD.c.id == card_id, SUPPORT_CARD.c.state == CardState.ISSUED)
    change = sa.update(SUPPORT_CARD).where(*guard).values(**claimant, state=CardState.CLAIMED, claimed_at=tx.now)
    return tx.execute(change).rowcount == 1


def lock_issued(tx: Transaction, card_id: str, issuer_id: str) -> CardRow | None:
    """A card that an organisation issued, which nobody else may change until the transaction ends."""
    is_it = (SUPPORT_CARD.c.id == card_id, SUPPORT_CARD.c.issuer_id == issuer_id)
    return _plain(tx.one(_CARD_WITH_ORDER.where(*is_it).with_for_update(of=SUPPORT_CARD)))


def lock_of_order(tx: Transaction, order_id: str) -> list[CardRow]:
    """All cards of an order, which nobody else may change until the transaction ends; in the order of their ids, so
    that two who lock several cannot wait for each other.

    A card that was being split while this waited has parts that only the next look sees; once a look finds no more,
    every card of the order is locked, so that none can be split any more.
    """
    of_order = _CARD_WITH_ORDER.where(SUPPORT_CARD.c.order_id == order_id).order_by(SUPPORT_CARD.c.id)
    locked: list[CardRow] = []
    while True:
        found = [dict(row) for row in tx.all(of_order.with_for_update(of=SUPPORT_CARD))]
        if len(found) == len(locked):
            return found
        locked = found


def lock_due(tx: Transaction, most: int) -> list[CardRow]:
    """Cards that hold credits although their time is over; those that somebody else is at are left out."""
    due = (
        _CARD_WITH_ORDER.where(SUPPORT_CARD.c.state.in_(sorted(HOLDING)), SUPPORT_CARD.c.expires_at <= tx.now)
        .order_by(SUPPORT_CARD.c.expires_at)
        .limit(most)
        .with_for_update(of=SUPPORT_CARD, skip_locked=True)
    )
    return [dict(row) for row in tx.all(due)]


def end(tx: Transaction, card_id: str, state: CardState) -> bool:
    """Take a card that holds credits to a final state other than claimed; False if it holds none."""
    guard = (SUPPORT_CARD.c.id == card_id, SUPPORT_CARD.c.state.in_(sorted(HOLDING)))
    ended = {"state": state, "frozen_by": None, "frozen_before": None}
    return tx.execute(sa.update(SUPPORT_CARD).where(*guard).values(**ended)).rowcount == 1


def change(tx: Transaction, card_id: str, values: Mapping[str, Any]) -> None:
    """Change a card that the transaction has locked."""
    tx.execute(sa.update(SUPPORT_CARD).where(SUPPORT_CARD.c.id == card_id).values(**values))


def freeze_for_dispute(tx: Transaction, order_id: str) -> None:
    """Have a dispute freeze the cards of an order that hold credits, all of which the transaction has locked; who had
    frozen one before is remembered.
    """
    holding = (SUPPORT_CARD.c.order_id == order_id, SUPPORT_CARD.c.state.in_(sorted(HOLDING)))
    frozen = {"state": CardState.FROZEN, "frozen_before": SUPPORT_CARD.c.frozen_by, "frozen_by": FrozenBy.DISPUTE}
    tx.execute(sa.update(SUPPORT_CARD).where(*holding).values(**frozen))


def thaw_after_dispute(tx: Transaction, order_id: str) -> None:
    """Undo that for those that are still frozen: each is as it was before."""
    frozen = (SUPPORT_CARD.c.order_id == order_id, SUPPORT_CARD.c.frozen_by == FrozenBy.DISPUTE)
    as_before = {
        "state": sa.case((SUPPORT_CARD.c.frozen_before.is_(None), CardState.ISSUED), else_=CardState.FROZEN),
        "frozen_by": SUPPORT_CARD.c.frozen_before,
        "frozen_before": None,
    }
    tx.execute(sa.update(SUPPORT_CARD).where(*frozen).values(**as_before))


def last_sequence(tx: Transaction, order_line_id: str) -> int:
    """The highest number among the cards of an order line; no other is added until the transaction ends."""
    of_line = SUPPORT_CARD.c.order_line_id == order_line_id
    order = sa.select(SUPPORT_CARD.c.order_id).where(of_line).limit(1).scalar_subquery()
    tx.one(sa.select(CREDITED_ORDER.c.id).where(CREDITED_ORDER.c.id == order).with_for_update(key_share=True))
    return int(tx.scalar(sa.select(sa.func.max(SUPPORT_CARD.c.sequence)).where(of_line)))


def lock_to_remind(tx: Transaction, most: int) -> list[CardRow]:
    """Cards whose buyers are to be reminded; those that somebody else is at are left out."""
    due = (
        _CARD_WITH_ORDER.where(
            SUPPORT_CARD.c.remind_at <= tx.now, SUPPORT_CARD.c.state.in_(sorted(HOLDING)),
            SUPPORT_CARD.c.expires_at > tx.now,
        )
        .order_by(SUPPORT_CARD.c.remind_at)
        .limit(most)
        .with_for_update(of=SUPPORT_CARD, skip_locked=True)
    )  # fmt: skip
    return [dict(row) for row in tx.all(due)]


def credited_organization(reader: Reader, order_id: str) -> str | None:
    """Whose order it was; None if it has brought no credits."""
    whose = sa.select(CREDITED_ORDER.c.organization_id).where(CREDITED_ORDER.c.id == order_id)
    found: str | None = reader.scalar(whose)
    return found


def families_of(reader: Reader, card_ids: Sequence[str]) -> dict[str, list[Row]]:
    """By id of a card that an order brought, the card itself and all that came of it by splitting: id, state, credits,
    code_issue.
    """
    root = sa.func.coalesce(SUPPORT_CARD.c.root_id, SUPPORT_CARD.c.id).label("root")
    columns = (SUPPORT_CARD.c.id, SUPPORT_CARD.c.state, SUPPORT_CARD.c.credits, SUPPORT_CARD.c.code_issue)
    of_them = sa.or_(SUPPORT_CARD.c.id.in_(card_ids), SUPPORT_CARD.c.root_id.in_(card_ids))
    found: dict[str, list[Row]] = {}
    for row in reader.all(sa.select(root, *columns).where(of_them).order_by(SUPPORT_CARD.c.id)):
        found.setdefault(row["root"], []).append(row)
    return found


def find_card(reader: Reader, card_id: str, organization_id: str) -> CardRow | None:
    """A card that an organisation issued or claimed."""
    concerned = sa.or_(SUPPORT_CARD.c.issuer_id == organization_id, SUPPORT_CARD.c.claimant_id == organization_id)
    return _plain(reader.one(_CARD_WITH_ORDER.where(SUPPORT_CARD.c.id == card_id, concerned)))


def find_cards(reader: Reader, issuer_id: str, card_ids: Sequence[str]) -> list[CardRow]:
    """Some of the cards that an organisation issued, in the order of their making."""
    are_they = (SUPPORT_CARD.c.issuer_id == issuer_id, SUPPORT_CARD.c.id.in_(card_ids))
    return [dict(row) for row in reader.all(_CARD_WITH_ORDER.where(*are_they).order_by(SUPPORT_CARD.c.sequence))]


def by_ids(reader: Reader, card_ids: Sequence[str]) -> list[CardRow]:
    """Some cards, whoever issued them."""
    return [dict(row) for row in reader.all(_CARD_WITH_ORDER.where(SUPPORT_CARD.c.id.in_(card_ids)))]


def ancestors(reader: Reader, card: Mapping[str, Any]) -> list[str]:
    """The cards that a card was split off, from the nearest to the one that the order brought."""
    found, parent = [], card["parent_id"]
    while parent is not None:
        found.append(parent)
        parent = reader.scalar(sa.select(SUPPORT_CARD.c.parent_id).where(SUPPORT_CARD.c.id == parent))
    return found


def list_cards(
    reader: Reader, organization_id: str, role: str, state: CardState | None, limit: int, cursor: str | None
) -> tuple[list[CardRow], str | None]:
    """The cards that an organisation issued (role ``issuer``) or claimed (``claimant``), newest first; all, or those
    that are seen in one state now.

    Raises:
        Refusal: `invalid_cursor`.
    """
    column = SUPPORT_CARD.c.issuer_id if role == "issuer" else SUPPORT_CARD.c.claimant_id
    statement = _CARD_WITH_ORDER.where(column == organization_id)
    if state is not None:
        statement = statement.where(_seen_in(state, reader.now))
    rows, following = page(reader, statement, SUPPORT_CARD.c.id, limit, cursor)
    return [dict(row) for row in rows], following


def cards_of_orders(reader: Reader, organization_id: str, order_ids: Sequence[str]) -> list[CardRow]:
    """The cards that an organisation issued by some orders, in the order of their making."""
    rows = reader.all(
        _CARD_WITH_ORDER.where(SUPPORT_CARD.c.issuer_id == organization_id, SUPPORT_CARD.c.order_id.in_(order_ids))
        .order_by(SUPPORT_CARD.c.order_line_id, SUPPORT_CARD.c.sequence)
    )  # fmt: skip
    return [dict(row) for row in rows]


def _seen_in(state: CardState, now: datetime) -> sa.ColumnElement[bool]:
    """What `domain.cards.state_at` says, for the database."""
    over = sa.and_(SUPPORT_CARD.c.state.in_(sorted(HOLDING)), SUPPORT_CARD.c.expires_at <= now)
    stored = SUPPORT_CARD.c.state == state
    if state is CardState.EXPIRED:
        return sa.or_(stored, over)
    if state in HOLDING:
        return sa.and_(stored, sa.or_(SUPPORT_CARD.c.expires_at.is_(None), SUPPORT_CARD.c.expires_at > now))
    return stored


def _plain(row: Row | None) -> CardRow | None:
    return dict(row) if row is not None else None
