"""Stand-ins for what a use case is handed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.identity import Identity
from chassis.messages import Event
from kernel.ids import new_id


class FixedClock:
    """A clock that stands still until told otherwise."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, **delta: float) -> None:
        """Let time pass: ``advance(days=1, seconds=3)``."""
        self._now += timedelta(**delta)


def identity(role: str = "buyer", **overrides: str) -> Identity:
    """Somebody of an organisation, with `role`."""
    values = {
        "user_id": "usr_ada",
        "email": "ada@acme.example",
        "name": "Ada Buyer",
        "role": role,
        "organization_id": "org_acme",
        "organization": "Acme",
        **overrides,
    }
    return Identity(**values)


def make_event(name: str, data: dict[str, Any], *, event_id: str | None = None, consumer: str = "test") -> Event:
    """An event as a handler gets it."""
    return Event(event_id or new_id("evt"), name, datetime.now(UTC), data, consumer)


def wait_until(happened: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Wait for something that happens elsewhere.

    Args:
        happened: asked again and again until it is true.
        what: for the complaint.
        timeout_s: the longest wait, in seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.05)
