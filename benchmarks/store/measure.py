"""Batches of checkouts: how many a second, what they cost, how long the mail takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from benchmarks.store import cpu
from benchmarks.store.buyer import Buyer, Placed
from benchmarks.store.mails import KINDS, MailSink
from benchmarks.store.opened import Store, opened
from chassis.local_servers import PrivatePostgres, PrivateRabbit

#: Checkouts in one batch, by concurrency.
CHECKOUTS = {1: 60, 8: 160, 16: 160, 32: 320}
#: The same where each client waits for its card mail before it buys again.
FOLLOWED = {1: 60, 8: 160}
REPETITIONS = 5
_WARM_UP = 3
_SETTLE_TIMEOUT_S = 120

Say = Callable[[str], None]
#: By concurrency, a batch for each repetition.
Batches = dict[int, list["Batch"]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was measured of one batch.

    Args:
        rate: complete checkouts a second, from the first request until the last order was fulfilled and the last mail
            was handed over.
        delays_s: from each 201 to its card mail, in seconds.
        cpu_s: seconds of CPU time for one checkout, by process.
    """

    rate: float
    delays_s: list[float]
    cpu_s: dict[str, float]


@dataclass
class Shop:
    """A running store with as many customers as are wanted at once.

    Args:
        store: the processes.
        sink: where its mails arrive.
        buyers: signed in.
    """

    store: Store
    sink: MailSink
    buyers: list[Buyer]
    _orders: set[str] = field(default_factory=set)

    def batch(self, concurrency: int, count: int, follow: bool = False) -> Batch:
        """`count` checkouts by `concurrency` clients, each of which was checked.

        Args:
            concurrency: clients at work at once.
            count: checkouts of all of them together.
            follow: whether a client waits for its card mail before it buys again.

        Raises:
            BenchmarkError: a request was refused, an order not fulfilled, a mail missing.
        """
        each = count // concurrency
        before = cpu.spent(self.store.processes)
        began = time.monotonic()
        with ThreadPoolExecutor(concurrency) as pool:
            placed = list(pool.map(lambda buyer: self._buy(buyer, each, follow), self.buyers[:concurrency]))
        deadline = time.monotonic() + _SETTLE_TIMEOUT_S
        orders = [(buyer, order) for buyer, orders in zip(self.buyers, placed, strict=False) for order in orders]
        mails = {kind: [self.sink.wait(order.number, kind, deadline) for _, order in orders] for kind in KINDS}
        after = cpu.spent(self.store.processes)
        fulfilled = [_moment(buyer.fulfilled(order, deadline)["fulfilled_at"]) for buyer, order in orders]
        self._orders.update(order.number for _, order in orders)
        ended = max(*mails["card"], *mails["receipt"], *fulfilled)
        return Batch(
            rate=len(orders) / (ended - began),
            delays_s=[mail - order.at for mail, (_, order) in zip(mails["card"], orders, strict=True)],
            cpu_s={name: (after[name] - before[name]) / len(orders) for name in after},
        )

    def _buy(self, buyer: Buyer, count: int, follow: bool) -> list[Placed]:
        placed = []
        for _ in range(count):
            placed.append(buyer.buy())
            if follow:
                self.sink.wait(placed[-1].number, "card", time.monotonic() + _SETTLE_TIMEOUT_S)
        return placed

    def check(self) -> None:
        """After the store has stopped: every order has brought each of its mails exactly once.

        Raises:
            BenchmarkError: one has not.
        """
        self.sink.check(self._orders)


@contextlib.contextmanager
def shop(folder: Path, rabbit: PrivateRabbit, postgres: PrivatePostgres, clients: int) -> Iterator[Shop]:
    """A store that is warm; stopped at the end, and all its mails counted then.

    Args:
        folder: for the store's own.
        rabbit, postgres: running.
        clients: how many at once at most.
    """
    sink = MailSink()
    sink.start()
    try:
        with opened(folder, rabbit, postgres, sink.url, clients) as store:
            made = Shop(store, sink, [Buyer(store, email) for email in store.emails])
            made.batch(clients, clients * _WARM_UP)
            yield made
            store.check_alive()
        made.check()
    finally:
        sink.stop()


def measure(made: Shop, plan: dict[int, int], follow: bool, quick: bool, say: Say) -> Batches:
    """Batches of each concurrency in turn, so that a busy moment of the machine hits each of them alike.

    Args:
        made: the store.
        plan: checkouts in a batch, by concurrency.
        follow: see `Shop.batch`.
        quick: one small batch each, to see that it works.
        say: told what is under way.
    """
    batches: Batches = {concurrency: [] for concurrency in plan}
    for repetition in range(1 if quick else REPETITIONS):
        for concurrency, count in plan.items():
            say(f"checkouts: repetition {repetition + 1}, {concurrency} at once")
            batches[concurrency].append(
                made.batch(concurrency, max(concurrency, count // 10 if quick else count), follow)
            )
    return batches


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `share` of all are not above."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[int(rank) - 1]


def _moment(rfc3339: str) -> float:
    """A moment of this machine's wall clock by `time.monotonic()`."""
    return datetime.fromisoformat(rfc3339).timestamp() - time.time() + time.monotonic()
