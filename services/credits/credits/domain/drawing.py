"""Which credits are used first."""

from __future__ import annotations

from collections.abc import Iterable


def draw(amount: int, lots: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Take credits from lots, the first ones first.

    Args:
        amount: how many; no more than all lots have left.
        lots: each with its id and what is left of it, in the order in which they are to be used.

    Returns:
        By lot, how many are taken of it; lots of which none are taken are left out.

    Raises:
        ValueError: the lots have not so many.
    """
    uses: dict[str, int] = {}
    for lot_id, left in lots:
        if not amount:
            break
        if left:
            uses[lot_id] = min(amount, left)
            amount -= uses[lot_id]
    if amount:
        raise ValueError("the lots have not so many credits")
    return uses
