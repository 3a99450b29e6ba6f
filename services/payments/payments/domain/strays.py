"""Stray captures: money that the provider took for an attempt that had ended without it."""

from __future__ import annotations

from enum import StrEnum

#: Why such money is on the review list. Public: never rename it.
REASON = "stray_capture"


class StrayState(StrEnum):
    """Where one stands. The values are stored: never rename one. One that turns out to be none is forgotten."""

    SUSPECTED = "suspected"  # somebody says so; the provider was, or is about to be, asked
    RETURNING = "returning"  # the provider says that it has the money, and is asked to give it back
    RETURNED = "returned"  # the provider says that it is given back
    REFUSED = "refused"  # the provider says that it will not be: a person must see to it


#: The states in which the provider has to be asked again.
UNDER_WAY = (StrayState.SUSPECTED, StrayState.RETURNING)
