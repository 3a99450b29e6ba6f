"""A circuit breaker: calls to a service that has stopped answering fail at once instead of waiting in a row.

Pure: it counts what it is told and knows no clock but the one it is given. A call to a service that answers costs two
looks at an attribute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Calls in a row that were not answered, after which a service is taken for dead.
FAILURES = 5
#: How often one call is let through to a service that is taken for dead, to see whether it answers again.
PROBE_EVERY_S = 2.0


class Breaker:
    """Whether calls to one service make sense at the moment. Safe for any number of threads or greenlets.

    Closed, every call goes through; after `failures` unanswered ones in a row it opens, and one call in each
    `probe_every_s` goes through until one is answered. That call's own time limit is its business: another one
    follows after the next interval, whether or not it has come back.

    Args:
        clock: seconds that only grow (`time.monotonic`).
        on_change: told whether it is open, each time that changes.
        failures: in a row.
        probe_every_s: see above.
    """

    __slots__ = ("_clock", "_failed", "_failures", "_lock", "_next_probe", "_on_change", "_probe_every_s", "open")

    def __init__(
        self,
        clock: Callable[[], float],
        on_change: Callable[[bool], None] = lambda _open: None,
        failures: int = FAILURES,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._failures = failures
        self._probe_every_s = probe_every_s
        self._failed = 0
        self._next_probe = 0.0
        self._lock = threading.Lock()
        #: Whether calls fail at once.
        self.open = False

    def refusal_s(self) -> float | None:
        """None if the call at hand may go through; otherwise the seconds until one may."""
        if not self.open:
            return None
        with self._lock:
            now = self._clock()
            if self.open and now < self._next_probe:
                return self._next_probe - now
            self._next_probe = now + self._probe_every_s
            return None

    def answered(self) -> None:
        """A call was answered, if only with a refusal: the service is there."""
        if not self._failed:
            return
        with self._lock:
            was_open, self.open, self._failed = self.open, False, 0
        if was_open:
            self._on_change(False)

    def unanswered(self) -> None:
        """Nobody took a call, or nobody answered it in time."""
        with self._lock:
            self._failed += 1
            opens = not self.open and self._failed >= self._failures
            if opens:
                self.open = True
                self._next_probe = self._clock() + self._probe_every_s
        if opens:
            self._on_change(True)
