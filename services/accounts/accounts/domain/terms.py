"""From when to when a contract runs."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

#: Of a contract whose order does not say it: it was placed before products had terms.
DEFAULT_MONTHS = 12


def term(today: date, running_until: date | None, months: int) -> tuple[date, date]:
    """The first and the last day of a contract that is bound today.

    A renewal begins when what runs has ended, so that nobody loses days by being early.

    Args:
        today: in UTC.
        running_until: the last day of what runs of the same product, or will; None if there is nothing.
        months: for how long; 1 or more.
    """
    starts_on = today if running_until is None or running_until < today else running_until + timedelta(days=1)
    return starts_on, _after(starts_on, months) - timedelta(days=1)


def _after(day: date, months: int) -> date:
    """The same day so many months later, or the last one of a month that is too short for it."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
