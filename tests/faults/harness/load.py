"""Customers who buy while something breaks, and what they were told."""

from __future__ import annotations

import random
import threading
from types import TracebackType

from soak import GIVE_UP_S, Buyer, Tally, lost
from store import Store

from chassis.testing import wait_until
from harness.faulty import assert_nothing_broken


class Load:
    """A context in which customers buy again and again, each purchase under a key of its own, insisting on an answer.

    At its end they stop, and what was not answered is asked once more. `assert_kept` then compares what they were told
    with what is there.

    Args:
        store: where they buy.
        rng: seeds them.
        buyers: their addresses.
    """

    def __init__(
        self, store: Store, rng: random.Random, buyers: tuple[str, ...] = ("ada@acme.example", "gus@globex.example")
    ) -> None:
        self.store = store
        self.tally = Tally()
        self._stop = threading.Event()
        self._buyers = [Buyer(store, email, f"{rng.random()}", self.tally, self._stop) for email in buyers]

    def __enter__(self) -> Load:
        for buyer in self._buyers:
            buyer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self._stop.set()
        for buyer in self._buyers:
            buyer.join(2 * GIVE_UP_S)
        if error is None:
            assert [buyer.error for buyer in self._buyers if buyer.error is not None] == []
            assert not any(buyer.is_alive() for buyer in self._buyers)

    @property
    def answered(self) -> int:
        """How many purchases were answered so far."""
        with self.tally.lock:
            return len(self.tally.ok) + len(self.tally.refused)

    def wait_answered(self, more: int, timeout_s: float = 200.0) -> None:
        """Wait until so many more purchases were answered."""
        wanted = self.answered + more
        wait_until(lambda: self.answered >= wanted, f"{more} more answers", timeout_s)

    def assert_kept(self) -> None:
        """Nothing is broken, and every order that a customer was told of is there and as it was told."""
        report = assert_nothing_broken(self.store)
        assert self.tally.unanswered == {}
        assert self.tally.attempts > 0
        assert [str(found) for found in lost(self.tally, report) if found.rule != "order_was_told"] == []
