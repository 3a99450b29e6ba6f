"""The orders whose credits were taken back."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction
from credits.storage.tables import REVERSED_ORDER, REVERSED_PART


def begin(tx: Transaction, refund_id: str, order_id: str) -> bool:
    """Note that the credits of an order are taken back; False if they were before (waits for one that is at it)."""
    nothing = dict.fromkeys(("taken_back", "claimed", "spent", "expired"), 0)
    return tx.insert_new(
        REVERSED_ORDER, {"refund_id": refund_id, "order_id": order_id, "reversed_at": tx.now, **nothing}
    )


def begin_part(tx: Transaction, refund_id: str, order_id: str) -> bool:
    """The same for some lines of an order; False if this refund has done so before."""
    nothing = dict.fromkeys(("taken_back", "claimed", "spent", "expired"), 0)
    return tx.insert_new(
        REVERSED_PART, {"refund_id": refund_id, "order_id": order_id, "reversed_at": tx.now, **nothing}
    )


def is_reversed(reader: Reader, order_id: str) -> bool:
    """Whether all that an order brought was taken back."""
    found = sa.select(REVERSED_ORDER.c.refund_id).where(REVERSED_ORDER.c.order_id == order_id)
    return reader.scalar(found) is not None


def finish(tx: Transaction, refund_id: str, found: Mapping[str, int]) -> None:
    """Keep what became of the order's credits: taken_back, claimed, spent, expired."""
    for table in (REVERSED_ORDER, REVERSED_PART):
        tx.execute(sa.update(table).where(table.c.refund_id == refund_id).values(**found))


def find(reader: Reader, refund_id: str) -> Row | None:
    """What a refund took back; None if it is not there."""
    shown = ("refund_id", "order_id", "taken_back", "claimed", "spent", "expired")
    of_both = [
        sa.select(*(table.c[name] for name in shown)).where(table.c.refund_id == refund_id)
        for table in (REVERSED_ORDER, REVERSED_PART)
    ]
    return reader.one(sa.union_all(*of_both))
