"""Queries of disputes. They are read with the order (`cart.storage.read_order`, `lock_order`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from cart.domain.dispute import Dispute, DisputeState
from cart.storage.tables import ORDER_DISPUTE
from chassis.persistence import Reader, Transaction


def insert_dispute(transaction: Transaction, dispute: Dispute) -> None:
    """Keep a new dispute of a locked order."""
    transaction.insert(ORDER_DISPUTE, asdict(dispute))


def change_dispute(transaction: Transaction, dispute_id: str, values: Mapping[str, Any]) -> None:
    """Change the dispute of a locked order."""
    transaction.execute(sa.update(ORDER_DISPUTE).where(ORDER_DISPUTE.c.id == dispute_id).values(**values))


def orders_to_tell_of(reader: Reader, order_ids: Iterable[str]) -> list[str]:
    """Those of some orders whose dispute the others were not told of, as it stands."""
    told = sa.func.coalesce(ORDER_DISPUTE.c.told, "")
    wanted = (ORDER_DISPUTE.c.order_id.in_(sorted(order_ids)), told != ORDER_DISPUTE.c.state)
    return [row["order_id"] for row in reader.all(sa.select(ORDER_DISPUTE.c.order_id).where(*wanted))]


def note_told(transaction: Transaction, dispute_id: str, state: DisputeState) -> None:
    """The others were told that the dispute of a locked order stands so."""
    change_dispute(transaction, dispute_id, {"told": state})
