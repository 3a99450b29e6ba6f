"""The states of a support credit card."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class CardState(StrEnum):
    """Where a card is in its life. The values are stored and published: never rename one."""

    ISSUED = "issued"  #: may be claimed by whoever has the number and the code
    CLAIMED = "claimed"  #: its credits went to an organisation; final
    RECALLED = "recalled"  #: taken back by its issuer, a refund or a lost dispute; final
    EXPIRED = "expired"  #: not claimed in time; final
    FROZEN = "frozen"  #: held by its issuer, staff or a dispute; keeps its credits, cannot be claimed
    SPLIT = "split"  #: its credits are on the cards that it was split into; final


class FrozenBy(StrEnum):
    """Who has frozen a card, and so may undo it. Stored: never rename one."""

    ISSUER = "issuer"
    STAFF = "staff"
    DISPUTE = "dispute"  #: of the payment; only its end undoes it


#: The states in which the card's own account holds its credits; in all others that account is empty.
HOLDING = frozenset({CardState.ISSUED, CardState.FROZEN})


def state_at(state: CardState, expires_at: datetime | None, now: datetime) -> CardState:
    """The state as seen at a moment: a card that still holds credits has expired from `expires_at` on.

    Expiry is enforced when read, whether or not anything has swept the card yet.
    """
    if state in HOLDING and expires_at is not None and now >= expires_at:
        return CardState.EXPIRED
    return state
