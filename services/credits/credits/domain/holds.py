"""Credits that are held for something, and which of them are spent when it is over (mission, B6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from credits.domain.drawing import Lot, draw, spending_order


@dataclass(frozen=True, slots=True)
class HeldLot:
    """What a hold has of one lot.

    Args:
        lot: with as many left as the hold has of it.
        order_id: the order that the lot came of, if any.
    """

    lot: Lot
    order_id: str | None

    def is_due(self, now: datetime) -> bool:
        """Whether the lot's time is over."""
        return self.lot.is_due(now)


def divide(held: Iterable[HeldLot], spent: int) -> tuple[dict[str, int], dict[str, int]]:
    """What is spent of a hold and what goes back, by lot. As with any spend, what expires first is spent first.

    Args:
        held: what it has.
        spent: credits; no more than it has.

    Raises:
        ValueError: it has not so many.
    """
    lots = spending_order(each.lot for each in held)
    used = draw(spent, lots)
    return used, {lot.id: lot.left - used.get(lot.id, 0) for lot in lots if lot.left > used.get(lot.id, 0)}
