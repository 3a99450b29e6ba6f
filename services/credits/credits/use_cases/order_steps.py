"""What happened to the credits of an order: granted, put on cards, claimed, taken back, expired."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from chassis.persistence import Reader
from chassis.timeline import Step
from credits.storage.tables import CREDITED_ORDER, LEDGER_TRANSACTION, SUPPORT_CARD


def order_steps(reader: Reader, order_id: str, organization_id: str | None) -> Iterator[Step]:
    """Each movement of the credits that an order brought, as long as they are told apart: until a card is claimed or
    the credits are spent; none if the order is not that organisation's.

    Args:
        reader: the database.
        order_id: the order.
        organization_id: whose it must be; None for anybody's.
    """
    credited = reader.one(sa.select(CREDITED_ORDER).where(CREDITED_ORDER.c.id == order_id))
    if credited is None or organization_id not in (None, credited["organization_id"]):
        return
    cards = sa.select(SUPPORT_CARD.c.id).where(SUPPORT_CARD.c.order_id == order_id)
    concerned = sa.or_(LEDGER_TRANSACTION.c.order_id == order_id, LEDGER_TRANSACTION.c.card_id.in_(cards))
    for row in reader.all(sa.select(LEDGER_TRANSACTION).where(concerned)):
        facts = {"transaction_id": row["id"], "credits": row["amount"], "memo": row["memo"], "card_id": row["card_id"]}
        yield Step(row["occurred_at"], f"credits.{row['kind']}", facts)
