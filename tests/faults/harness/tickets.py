"""Customers who open tickets while something breaks."""

from __future__ import annotations

import random
import threading
from types import TracebackType

from soak import GIVE_UP_S
from store import Client

from harness.asking import new_key, until_final
from harness.faulty import FaultyStore

DEPLOYMENT = "30550007"
_CAP = 10


def covered(faulty: FaultyStore) -> Client:
    """A customer with a contract on the deployment, and credits."""
    gus = faulty.client("gus@globex.example")
    if not gus.get(f"/v1/tickets/preflight?deployment_id={DEPLOYMENT}&cap_credits=60")["accepted"]:
        gus.empty_cart()
        line = {
            "sku": "CONTRACT-STANDARD", "quantity": 1, "credit_destination": "organization",
            "deployment_id": DEPLOYMENT,
        }  # fmt: skip
        cart = gus.ask("POST", "/v1/cart/lines", line).json()
        gus.fulfilled(gus.place(gus.order_body(cart)).json()["id"])
    return gus


class TicketLoad:
    """A context in which a ticket after the other is opened, worked on and closed, each step until it is answered.

    At its end, what was asked for is compared with what was answered; that it happened once is for
    `assert_nothing_broken` to see, by the holds.

    Args:
        faulty: the store.
        rng: seeds the work.
    """

    def __init__(self, faulty: FaultyStore, rng: random.Random) -> None:
        self._gus, self._sam = covered(faulty), faulty.client("sam@punchcard.example")
        self._random = random.Random(f"{rng.random()}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tickets", daemon=True)
        self._error: Exception | None = None
        #: Tickets that were closed.
        self.closed = 0

    def __enter__(self) -> TicketLoad:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(2 * GIVE_UP_S)
        if error is None:
            assert self._error is None, self._error
            assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._one()
                self.closed += 1
        except Exception as error:  # told at the end
            self._error = error

    def _one(self) -> None:
        minutes = self._random.randint(1, 3)
        new = {"deployment_id": DEPLOYMENT, "subject": "Calls drop", "description": "All", "cap_credits": _CAP}
        opened = until_final(self._gus, "/v1/tickets", new, new_key(self._random))
        assert (opened.status_code, opened.json()["state"]) == (201, "open"), opened.text
        path = f"/v1/tickets/{opened.json()['id']}"
        worked = until_final(self._sam, f"{path}/time", {"minutes": minutes, "note": "Looked"}, new_key(self._random))
        assert worked.status_code == 201, worked.text
        closed = until_final(self._sam, f"{path}/close", None, new_key(self._random))
        assert (closed.status_code, closed.json()["credits"]["debited"]) == (200, minutes), closed.text
