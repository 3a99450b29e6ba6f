"""Queries of refunds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cart.domain.refund import UNDER_WAY, VAIN, Refund, RefundState, TakenBack
from cart.domain.refund import sources as refund_sources
from cart.storage.orders import kept_answer
from cart.storage.tables import REFUND
from chassis.persistence import (
    Reader,
    Row,
    Transaction,
)
from chassis.persistence.paging import page
from kernel.clock import CLOCKS_DIFFER


def insert_refund(transaction: Transaction, refund: Refund) -> bool:
    """Store a new refund; False if another one of the order is not ended yet."""
    values = {**asdict(refund), "state": str(refund.state)}
    del values["taken_back"]
    return transaction.insert_new(REFUND, values)


def read_refund(reader: Reader, refund_id: str) -> Refund | None:
    """A refund."""
    row = reader.one(sa.select(REFUND).where(REFUND.c.id == refund_id))
    return None if row is None else _refund(row)


def newest_refund(reader: Reader, order_id: str) -> Refund | None:
    """The newest refund of an order."""
    row = reader.one(sa.select(REFUND).where(REFUND.c.order_id == order_id).order_by(REFUND.c.id.desc()).limit(1))
    return None if row is None else _refund(row)


def refunds_of(reader: Reader, order_ids: Sequence[str]) -> dict[str, list[Refund]]:
    """By order, its refunds but those that were in vain, oldest first."""
    counts = REFUND.c.state.not_in([str(state) for state in VAIN])
    query = sa.select(REFUND).where(REFUND.c.order_id.in_(order_ids), counts).order_by(REFUND.c.id)
    found: dict[str, list[Refund]] = {}
    for row in reader.all(query):
        found.setdefault(row["order_id"], []).append(_refund(row))
    return found


def lock_refund(transaction: Transaction, refund_id: str) -> Refund | None:
    """A refund, which nobody else changes until the transaction ends."""
    row = transaction.one(sa.select(REFUND).where(REFUND.c.id == refund_id).with_for_update())
    return None if row is None else _refund(row)


def page_of_refunds(
    reader: Reader, state: str | None, order_id: str | None, limit: int, cursor: str | None
) -> tuple[list[Refund], str | None]:
    """One page of refunds, newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    query = sa.select(REFUND)
    if state is not None:
        query = query.where(REFUND.c.state == state)
    if order_id is not None:
        query = query.where(REFUND.c.order_id == order_id)
    rows, following = page(reader, query, REFUND.c.id, limit, cursor)
    return [_refund(row) for row in rows], following


def move_refund(transaction: Transaction, refund_id: str, target: RefundState, **values: Any) -> bool:
    """Bring a refund to a state, if it is in one from which that may be; whether it was."""
    allowed = REFUND.c.state.in_([str(state) for state in refund_sources(target)])
    moved = transaction.execute(
        sa.update(REFUND).where(REFUND.c.id == refund_id, allowed).values(state=str(target), **values)
    )
    return moved.rowcount == 1


def claim_refund(transaction: Transaction, longest_lease: timedelta, refund_id: str | None = None) -> Refund | None:
    """A refund under way whose lease has run out; that one, or the one that has waited longest.

    The row is locked until the transaction ends; other processes pass over it. A lease longer than any came from a
    clock that was wrong, and holds nobody.
    """
    query = (
        sa.select(REFUND)
        .where(
            REFUND.c.state.in_([str(state) for state in UNDER_WAY]),
            sa.or_(
                REFUND.c.next_attempt_at <= transaction.now,
                REFUND.c.next_attempt_at > transaction.now + longest_lease + CLOCKS_DIFFER,
            ),
        )
        .order_by(REFUND.c.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = transaction.one(query if refund_id is None else query.where(REFUND.c.id == refund_id))
    return None if row is None else _refund(row)


def lease_refund(transaction: Transaction, refund: Refund, until: datetime) -> None:
    """Have nobody else go on with a refund before `until`."""
    lease = sa.update(REFUND).where(REFUND.c.id == refund.id)
    transaction.execute(lease.values(attempts=refund.attempts + 1, next_attempt_at=until))


def answer_of_refund(reader: Reader, refund: Refund) -> dict[str, Any] | None:
    """The answer that is kept under the refund's Idempotency-Key; None if there is none (any more)."""
    return kept_answer(reader, refund.scope, refund.idempotency_key)


def _refund(row: Row) -> Refund:
    names = ("taken_back", "claimed", "spent", "expired")
    said = {name: row[f"{name}_credits"] for name in names}
    values = {column.name: row[column.name] for column in REFUND.c if not column.name.endswith("_credits")}
    taken_back = None if said["taken_back"] is None else TakenBack(**said)
    return Refund(**{**values, "state": RefundState(row["state"]), "taken_back": taken_back})
