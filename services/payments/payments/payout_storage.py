"""Queries of money that staff send back by bank: for refunds of orders paid by wire or check, and surplus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction
from chassis.persistence.paging import page
from payments.remittance_storage import PAYOUT, RECEIPT, SURPLUS, SURPLUS_SETTLEMENT
from payments.storage import INTENT

WAITING, PAID = "waiting", "paid"
#: What becomes of a surplus.
RETURNED, USED = "returned", "used"

_PAYOUTS: sa.Select[Any] = sa.select(
    PAYOUT, INTENT.c.order_id, INTENT.c.order_number, INTENT.c.organization_id, INTENT.c.currency, INTENT.c.method
).join(INTENT, INTENT.c.id == PAYOUT.c.intent_id)


def payouts_minor(reader: Reader, intent_id: str) -> int:
    """What of an intent's amount was sent back for refunds, or is about to be."""
    of_refunds = (PAYOUT.c.intent_id == intent_id, PAYOUT.c.kind == "refund")
    total = sa.select(sa.func.coalesce(sa.func.sum(PAYOUT.c.amount_minor), 0)).where(*of_refunds)
    return int(reader.scalar(total))


def add_payout(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Keep money that staff must send, or have sent."""
    tx.execute(sa.insert(PAYOUT).values(**values, created_at=tx.now))


def find_payout(reader: Reader, payout_id: str) -> Row | None:
    """A payout with its order."""
    return reader.one(_PAYOUTS.where(PAYOUT.c.id == payout_id))


def lock_payout(tx: Transaction, payout_id: str) -> Row | None:
    """The same, which nobody else changes until the transaction ends."""
    return tx.one(_PAYOUTS.where(PAYOUT.c.id == payout_id).with_for_update(of=PAYOUT))


def is_recorded(reader: Reader, key: str) -> bool:
    """Whether a payout under that bank reference was recorded."""
    return reader.scalar(sa.select(PAYOUT.c.id).where(PAYOUT.c.bank_key == key, PAYOUT.c.state == PAID)) is not None


def mark_paid(tx: Transaction, payout_id: str, values: Mapping[str, Any]) -> None:
    """A locked payout was sent."""
    tx.execute(sa.update(PAYOUT).where(PAYOUT.c.id == payout_id).values(**values, state=PAID, recorded_at=tx.now))


def page_of_payouts(
    reader: Reader, state: str | None, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:  # fmt: skip
    """One page of payouts, newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    return page(
        reader, _PAYOUTS if state is None else _PAYOUTS.where(PAYOUT.c.state == state), PAYOUT.c.id, limit, cursor
    )


def lock_surplus(tx: Transaction, surplus_id: str) -> Row | None:
    """A surplus with its receipt's order, which nobody else settles until the transaction ends."""
    return tx.one(
        sa.select(
            SURPLUS, RECEIPT.c.intent_id, RECEIPT.c.method, RECEIPT.c.received_on, INTENT.c.order_id,
            INTENT.c.organization_id,
        )
        .join(RECEIPT, RECEIPT.c.id == SURPLUS.c.receipt_id)
        .join(INTENT, INTENT.c.id == RECEIPT.c.intent_id)
        .where(SURPLUS.c.id == surplus_id)
        .with_for_update(of=SURPLUS)
    )  # fmt: skip


def settle_surplus(tx: Transaction, values: Mapping[str, Any]) -> bool:
    """Note what became of a locked surplus; False if it was settled before."""
    return tx.insert_new(SURPLUS_SETTLEMENT, {**values, "settled_at": tx.now})
