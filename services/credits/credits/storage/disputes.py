"""The orders whose payment is or was disputed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction
from chassis.persistence.paging import page
from credits.domain.disputes import DisputeState
from credits.storage.tables import DISPUTED_ORDER

_OPEN = DISPUTED_ORDER.c.state == DisputeState.OPEN


def begin(tx: Transaction, dispute_id: str, order_id: str, state: DisputeState) -> bool:
    """Note a dispute; False if it, or another one of the order, was noted before (waits for one that is at it)."""
    closed_at = None if state is DisputeState.OPEN else tx.now
    values = {"dispute_id": dispute_id, "order_id": order_id, "state": state, "taken_back": 0, "noted_at": tx.now}
    return tx.insert_new(DISPUTED_ORDER, {**values, "closed_at": closed_at})


def lock(tx: Transaction, dispute_id: str) -> Row | None:
    """A dispute, which nobody else changes until the transaction ends."""
    return tx.one(sa.select(DISPUTED_ORDER).where(DISPUTED_ORDER.c.dispute_id == dispute_id).with_for_update())


def close(tx: Transaction, dispute_id: str, state: DisputeState) -> bool:
    """Have a dispute be won or lost, if it is open; whether it was."""
    is_it = DISPUTED_ORDER.c.dispute_id == dispute_id
    return tx.execute(sa.update(DISPUTED_ORDER).where(is_it, _OPEN).values(state=state, closed_at=tx.now)).rowcount == 1


def note_taken_back(tx: Transaction, dispute_id: str, credits: int) -> None:
    """Keep how many credits were taken back, of a lost one."""
    is_it = DISPUTED_ORDER.c.dispute_id == dispute_id
    tx.execute(sa.update(DISPUTED_ORDER).where(is_it).values(taken_back=credits))


def is_disputed(reader: Reader, order_id: str) -> bool:
    """Whether the payment of an order is disputed, or that was lost."""
    counts = (DISPUTED_ORDER.c.order_id == order_id, DISPUTED_ORDER.c.state != DisputeState.WON)
    return reader.scalar(sa.select(DISPUTED_ORDER.c.dispute_id).where(*counts)) is not None


def open_among(reader: Reader, order_ids: Iterable[str]) -> dict[str, str]:
    """The open disputes of some orders, by order."""
    columns = (DISPUTED_ORDER.c.order_id, DISPUTED_ORDER.c.dispute_id)
    wanted = sa.select(*columns).where(_OPEN, DISPUTED_ORDER.c.order_id.in_(list(order_ids)))
    return {row["order_id"]: row["dispute_id"] for row in reader.all(wanted)}


def page_of_disputes(reader: Reader, limit: int, cursor: str | None) -> tuple[Sequence[Row], str | None]:
    """A page of all disputes, newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    return page(reader, sa.select(DISPUTED_ORDER), DISPUTED_ORDER.c.dispute_id, limit, cursor)
