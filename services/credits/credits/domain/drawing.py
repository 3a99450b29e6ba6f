"""Which credits are used first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Lot:
    """Credits that came to an organisation by one transaction.

    Args:
        id: of that transaction.
        sequence: its place among all postings of the account; older lots have smaller ones.
        amount: as many came.
        left: as many have not left again.
        expires_at: from when on they cannot be used; None: they do not expire.
        free: given by staff rather than bought.
    """

    id: str
    sequence: int
    amount: int
    left: int
    expires_at: datetime | None = None
    free: bool = False

    def is_due(self, now: datetime) -> bool:
        """Whether its time is over. Enforced when read, whether or not anything has posted the expiry yet."""
        return self.expires_at is not None and self.expires_at <= now


def spending_order(lots: Iterable[Lot]) -> list[Lot]:
    """Lots in the order in which they are used: what expires first, then what was free, then what is oldest; so an
    organisation loses as little as can be, and of that rather what it has not paid for.
    """

    def key(lot: Lot) -> tuple[bool, float, bool, int]:
        return (
            lot.expires_at is None, lot.expires_at.timestamp() if lot.expires_at else 0.0, not lot.free, lot.sequence
        )  # fmt: skip

    return sorted(lots, key=key)


def draw(amount: int, lots: Iterable[Lot]) -> dict[str, int]:
    """Take credits from lots, the first ones first.

    Args:
        amount: how many; no more than all lots have left.
        lots: in the order in which they are to be used.

    Returns:
        By lot, how many are taken of it; lots of which none are taken are left out.

    Raises:
        ValueError: the lots have not so many.
    """
    uses: dict[str, int] = {}
    for lot in lots:
        if not amount:
            break
        if lot.left:
            uses[lot.id] = min(amount, lot.left)
            amount -= uses[lot.id]
    if amount:
        raise ValueError("the lots have not so many credits")
    return uses
