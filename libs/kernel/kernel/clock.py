"""Time: always aware, always UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

#: By how much the clocks of two machines may differ. What is due later than any delay of ours and this is from a clock
#: that was wrong.
CLOCKS_DIFFER = timedelta(seconds=60)


class Clock(Protocol):
    """Where a use case gets the time from, so that a test can set it."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ShiftedClock:
    """The machine's clock, wrong by as much as a test wants.

    Args:
        offset: how far ahead of the machine's.
    """

    def __init__(self, offset: timedelta) -> None:
        self._offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC with milliseconds, ending in Z (docs/api: times).

    Raises:
        ValueError: the moment is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime says nothing")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
