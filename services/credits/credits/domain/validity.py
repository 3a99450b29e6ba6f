"""For how long credits can be used once an organisation has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class CreditValidity:
    """For how many days; 0: for ever.

    Args:
        days: of every product that `of_product` does not name.
        of_product: by SKU.
    """

    days: int = 0
    of_product: Mapping[str, int] = field(default_factory=dict)

    def days_of(self, sku: str | None) -> int | None:
        """The days of a product, or of credits that came of none; None: for ever."""
        return (self.days if sku is None else self.of_product.get(sku, self.days)) or None


def expiry(days: int | None, now: datetime) -> datetime | None:
    """When credits expire that an organisation gets now; None: never."""
    return None if days is None else now + timedelta(days=days)
