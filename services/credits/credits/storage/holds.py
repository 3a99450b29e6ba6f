"""The holds, and what they have of which lots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction
from chassis.persistence.paging import page
from credits.domain.drawing import Lot
from credits.domain.holds import HeldLot
from credits.storage.tables import CREDIT_HOLD, LEDGER_TRANSACTION, LOT_USE, POSTING, REVERSED_ORDER


def begin(tx: Transaction, values: Mapping[str, Any]) -> bool:
    """Note a hold; False if there was one for its cause (waits for one that is being made)."""
    return tx.insert_new(CREDIT_HOLD, {**values, "spent": 0, "given_back": 0, "held_at": tx.now})


def lock(tx: Transaction, cause: str) -> Row | None:
    """The hold for a cause, which nobody else changes until the transaction ends."""
    return tx.one(sa.select(CREDIT_HOLD).where(CREDIT_HOLD.c.cause == cause).with_for_update())


def change(tx: Transaction, hold_id: str, **values: Any) -> None:
    """Change a hold that the transaction has locked."""
    tx.execute(sa.update(CREDIT_HOLD).where(CREDIT_HOLD.c.id == hold_id).values(**values))


def held_by(reader: Reader, organization_id: str) -> int:
    """All credits of an organisation that are held."""
    held = sa.select(sa.func.coalesce(sa.func.sum(CREDIT_HOLD.c.credits), 0)).where(
        CREDIT_HOLD.c.organization_id == organization_id, CREDIT_HOLD.c.settled_at.is_(None)
    )
    return int(reader.scalar(held))


def page_of_holds(reader: Reader, limit: int, cursor: str | None) -> tuple[Sequence[Row], str | None]:
    """A page of all holds, newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    return page(reader, sa.select(CREDIT_HOLD), CREDIT_HOLD.c.id, limit, cursor)


def lots_of(reader: Reader, account_id: str) -> list[HeldLot]:
    """What a hold has of each lot: what it took, without what it has returned.

    Args:
        reader: where; one that has locked the hold if something is to come of it.
        account_id: the hold's.
    """
    lot, moving = LEDGER_TRANSACTION.alias("lot"), LEDGER_TRANSACTION.alias("moving")
    arrival = POSTING.alias("arrival")
    taken = sa.cast(sa.func.sum(LOT_USE.c.amount), sa.BigInteger)
    columns = (lot.c.id, arrival.c.sequence, lot.c.amount, lot.c.expires_at, lot.c.free, lot.c.order_id)
    rows = reader.all(
        sa.select(*columns, taken.label("taken"))
        .select_from(LOT_USE)
        .join(moving, moving.c.id == LOT_USE.c.transaction_id)
        .join(lot, lot.c.id == LOT_USE.c.lot_id)
        .join(arrival, sa.and_(arrival.c.transaction_id == lot.c.id, arrival.c.side == "destination"))
        .where(sa.or_(moving.c.destination_id == account_id, moving.c.source_id == account_id))
        .group_by(*columns)
    )
    return [
        HeldLot(
            Lot(row["id"], row["sequence"], row["amount"], int(row["taken"]), row["expires_at"], row["free"]),
            row["order_id"],
        )
        for row in rows
        if row["taken"]
    ]


def refunded_among(reader: Reader, order_ids: Iterable[str]) -> set[str]:
    """Those of some orders whose credits were taken back for a refund."""
    wanted = sa.select(REVERSED_ORDER.c.order_id).where(REVERSED_ORDER.c.order_id.in_(list(order_ids)))
    return {row["order_id"] for row in reader.all(wanted)}
