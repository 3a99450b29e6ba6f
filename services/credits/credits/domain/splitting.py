"""How a card may be split."""

from __future__ import annotations

from collections.abc import Sequence

#: Cards that one is split into, at once. Each can be split again.
MOST_PARTS = 50


def is_split_of(credits: int, parts: Sequence[int]) -> bool:
    """Whether some cards have together what one had: two at least, none of them empty."""
    return 2 <= len(parts) <= MOST_PARTS and all(part > 0 for part in parts) and sum(parts) == credits
