"""The dispute of an order's payment, as credits knows it."""

from __future__ import annotations

from enum import StrEnum


class DisputeState(StrEnum):
    """Where a dispute stands. The values are stored: never rename one."""

    OPEN = "open"  #: what is unspent is frozen
    WON = "won"  #: for us; all is as it was
    LOST = "lost"  #: the money is with the payer; what was unspent is taken back


def hold_cause(dispute_id: str) -> str:
    """The cause of the hold that has the unspent credits while a dispute is open (a trigger reads it, too)."""
    return f"dispute:{dispute_id}"
