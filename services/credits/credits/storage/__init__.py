"""What credits keeps: the ledger, the orders it has credited, the cards."""

from credits.storage.tables import METADATA

__all__ = ["METADATA"]
