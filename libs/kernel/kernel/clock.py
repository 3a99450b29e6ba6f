"""Time: always aware, always UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a use case gets the time from, so that a test can set it."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC with milliseconds, ending in Z (docs/api: times).

    Raises:
        ValueError: the moment is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime says nothing")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
