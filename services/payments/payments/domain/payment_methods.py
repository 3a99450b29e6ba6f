"""Saved cards: which may be chosen (mission, clauses 21, 22 and 27)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from kernel.errors import Refusal, conflict, invalid

#: Cards that an organisation may keep; more are of use to nobody but thieves.
MOST_CARDS = 20


class MethodState(StrEnum):
    """Where a saved card stands. The values are stored: never rename one."""

    SAVING = "saving"  # the provider was, or is about to be, asked to keep it
    SAVED = "saved"
    REFUSED = "refused"  # the provider does not take it
    REMOVED = "removed"


def has_expired(exp_month: int, exp_year: int, now: datetime) -> bool:
    """A card is good to the end of its month (UTC)."""
    return (exp_year, exp_month) < (now.year, now.month)


def check_room(held: int) -> None:
    """Refuse one card too many.

    Raises:
        Refusal: `too_many_payment_methods`.
    """
    if held >= MOST_CARDS:
        raise conflict(
            "too_many_payment_methods", f"{MOST_CARDS} cards are saved. Remove one that you do not use any more."
        )


def expired() -> Refusal:
    """The answer to who chooses a card that is over."""
    return invalid("card_expired", "This card has expired. Choose another one.", "payment.payment_method_id")
