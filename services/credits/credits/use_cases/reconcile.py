"""Prove that the ledger and the cards are as they must be."""

from __future__ import annotations

from typing import Any

from credits.bootstrap import App
from credits.storage.checks import RULES, find_breaks, totals


def reconcile(app: App) -> list[dict[str, Any]]:
    """Every place where a rule of `storage.checks` is broken: rule, subject, expected, found. Empty: all is well.

    The database refuses what would break most of them; this is for what it cannot see (a card's state beside its
    account) and for the day when somebody has switched a trigger off.
    """
    with app.database.reading() as reader:
        return [{"rule": rule, **place} for rule in RULES for place in find_breaks(reader, rule)]


def credit_totals(app: App) -> dict[str, int]:
    """Where all credits are that were ever brought, so that it can be compared with what was paid for."""
    with app.database.reading() as reader:
        return totals(reader)
