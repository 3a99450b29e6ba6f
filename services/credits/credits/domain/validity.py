"""For how long credits can be used once an organisation has them."""

from __future__ import annotations

from datetime import datetime, timedelta


def valid_days(of_product: int | None, of_store: int) -> int | None:
    """For how many days credits can be used; None: for ever.

    Args:
        of_product: as the catalogue says it of what was bought; 0: for ever; None: it does not, or nothing was bought.
        of_store: of everything else; 0: for ever.
    """
    return (of_store if of_product is None else of_product) or None


def expiry(days: int | None, now: datetime) -> datetime | None:
    """When credits expire that an organisation gets now; None: never."""
    return None if days is None else now + timedelta(days=days)
