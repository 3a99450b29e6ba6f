"""How a caller waits until its answer is there or its time is over: by a lock of a real thread, or as a greenlet."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from chassis.green import current_greenlet, green_hub


class Gate(Protocol):
    """What one caller waits at. Opened once, by another."""

    def wait(self, deadline: float) -> bool:
        """Until it is open; False if it was not at `deadline` (`time.monotonic()`)."""

    def open(self) -> None:
        """Let the caller go on, if it still waits."""


class ThreadGate:
    """For real threads: a lock that is held until the answer is there, the cheapest thing a thread can wait on."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, deadline: float) -> bool:
        return self._lock.acquire(timeout=max(0.0, deadline - time.monotonic()))

    def open(self) -> None:
        self._lock.release()


class GreenGate:
    """For greenlets.

    Args:
        gates: of this client.
    """

    __slots__ = ("_gates", "_open", "deadline", "waiter")

    def __init__(self, gates: GreenGates) -> None:
        self._gates = gates
        self._open = False
        self.deadline = 0.0
        self.waiter: Any = None

    def wait(self, deadline: float) -> bool:
        if self._open:
            return True
        self.deadline = deadline
        self.waiter = current_greenlet()
        try:
            return bool(self._gates.wait(self))
        finally:
            self.waiter = None  # whoever was to wake it has nothing to do any longer

    def open(self) -> None:
        if not self._open:
            self._open = True
            self._gates.hub.schedule_call_global(0, self._wake, True)

    def expired(self) -> None:
        """Its time is over."""
        if not self._open:
            self._wake(False)

    def _wake(self, answered: bool) -> None:
        if self.waiter is not None:
            self.waiter.switch(answered)


class GreenGates:
    """The gates of one client that are waited at, and one timer for all: hardly any wait comes to its deadline.

    Args:
        hub: the event loop.
    """

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self._waiting: set[GreenGate] = set()
        self._rings_at: float | None = None

    def new(self) -> GreenGate:
        return GreenGate(self)

    def wait(self, gate: GreenGate) -> Any:
        if self._rings_at is None or gate.deadline < self._rings_at:
            self._ring_at(gate.deadline)
        self._waiting.add(gate)
        try:
            return self.hub.switch()
        finally:
            self._waiting.discard(gate)

    def _ring_at(self, moment: float) -> None:
        self._rings_at = moment
        self.hub.schedule_call_global(max(0.0, moment - time.monotonic()), self._ring, moment)

    def _ring(self, moment: float) -> None:
        if moment != self._rings_at:
            return  # an earlier one was wanted since
        self._rings_at = None
        now = time.monotonic()
        for gate in [gate for gate in self._waiting if gate.deadline <= now]:
            gate.expired()
        left = [gate.deadline for gate in self._waiting if gate.deadline > now]
        if left and (self._rings_at is None or min(left) < self._rings_at):
            self._ring_at(min(left))


class Gates:
    """Makes gates that suit this process. Whether it runs on eventlet is looked up at the first one, not at import."""

    def __init__(self) -> None:
        self._green: GreenGates | None = None
        self._known = False

    def new(self) -> Gate:
        if not self._known:
            hub = green_hub()
            self._green = None if hub is None else GreenGates(hub)
            self._known = True
        return ThreadGate() if self._green is None else self._green.new()
