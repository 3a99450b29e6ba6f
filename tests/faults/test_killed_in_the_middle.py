"""A service ends by ``kill -9`` at the worst moment there is: after one thing was done and before the next."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from harness.faulty import FaultyStore
from harness.load import Load
from harness.tickets import TicketLoad

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

_EMITTING = ("cart", "payments", "credits", "accounts", "support")
#: Each place, and the services that come by it while customers buy and open tickets.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "outbox.committed": _EMITTING,
    "relay.published": _EMITTING,
    "payments.charged": ("payments",),
    "event.handled": ("cart", "credits", "accounts", "notifications"),
    "request.worked": ("cart", "payments", "catalog", "support"),
    "support.asked": ("support",),
}


def test_each_service_killed_somewhere(faulty: FaultyStore, rng: random.Random) -> None:
    """Every place is hit, each in another service."""
    chosen: dict[str, str] = {}
    while set(chosen.values()) != set(_PLACES):
        chosen = {
            name: rng.choice([place for place, names in _PLACES.items() if name in names])
            for name in ("cart", "payments", "credits", "accounts", "notifications", "catalog", "support")
        }
    _kill_all(faulty, rng, chosen)


@pytest.mark.long
@pytest.mark.parametrize("place", _PLACES)
def test_every_service_killed_there(faulty: FaultyStore, rng: random.Random, place: str) -> None:
    _kill_all(faulty, rng, dict.fromkeys(_PLACES[place], place))


def _kill_all(faulty: FaultyStore, rng: random.Random, places: Mapping[str, str]) -> None:
    before = {name: faulty.lines_of(name, f"failpoint {place}: kill") for name, place in places.items()}
    faulty.relaunch_each(
        {name: {"PUNCHCARD_FAILPOINTS": f"{place}=kill@{rng.randint(1, 3)}"} for name, place in places.items()}
    )
    with Load(faulty, rng) as load, TicketLoad(faulty, rng):
        for name, place in places.items():
            wait_until(
                lambda name=name, place=place: faulty.lines_of(name, f"failpoint {place}: kill") > before[name],
                f"{name} to be killed at {place}", 200,
            )  # fmt: skip
        load.wait_answered(3)
    load.assert_kept()
