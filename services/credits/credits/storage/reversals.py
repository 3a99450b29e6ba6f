"""The orders whose credits were taken back."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction
from credits.storage.tables import REVERSED_ORDER


def begin(tx: Transaction, refund_id: str, order_id: str) -> bool:
    """Note that the credits of an order are taken back; False if they were before (waits for one that is at it)."""
    nothing = dict.fromkeys(("taken_back", "claimed", "spent", "expired"), 0)
    return tx.insert_new(
        REVERSED_ORDER, {"refund_id": refund_id, "order_id": order_id, "reversed_at": tx.now, **nothing}
    )


def finish(tx: Transaction, refund_id: str, found: Mapping[str, int]) -> None:
    """Keep what became of the order's credits: taken_back, claimed, spent, expired."""
    tx.execute(sa.update(REVERSED_ORDER).where(REVERSED_ORDER.c.refund_id == refund_id).values(**found))


def find(reader: Reader, refund_id: str) -> Row | None:
    """What a refund took back; None if it is not there."""
    shown = ("refund_id", "order_id", "taken_back", "claimed", "spent", "expired")
    columns = [REVERSED_ORDER.c[name] for name in shown]
    return reader.one(sa.select(*columns).where(REVERSED_ORDER.c.refund_id == refund_id))
