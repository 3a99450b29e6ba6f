"""Money by wire: recorded by many clerks at once, and by a service that is killed in the middle of it."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import requests
from harness.faulty import FaultyStore, assert_nothing_broken
from store import Client

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

_CLERKS = 8
_FINANCE = "fay@punchcard.example"
#: How long a clerk tries the same request again, in seconds.
_INSISTS_S = 90.0
#: Where payments dies: the receipt is written, but not committed; it is, but no event has left; they have left.
_PLACES = ("payments.recording", "outbox.committed", "relay.published")


@pytest.fixture
def two_of_payments(faulty: FaultyStore) -> Iterator[FaultyStore]:
    """The store with a second process of payments: the two share nothing but their database."""
    name = faulty.launch_another("payments")
    yield faulty
    faulty.dismiss(name)


def test_wire_recorded_by_many_clerks_at_once(two_of_payments: FaultyStore, rng: random.Random) -> None:
    """One movement on the bank's statement is one receipt, however each of them types it."""
    store, buyer, clerk = two_of_payments, two_of_payments.client(), two_of_payments.client(_FINANCE)
    order = buyer.order_by("wire")
    total, statement = _total(order), f"ST-{order['number']}/1"
    typed = [rng.choice((statement, statement.lower(), statement.replace("-", " "))) for _ in range(_CLERKS)]

    told = _all([partial(_insist, clerk, total, text, order_id=order["id"]) for text in typed])

    assert sorted(answer.status_code for answer in told) == [201] + [409] * (_CLERKS - 1)
    assert {answer.json()["code"] for answer in told if answer.status_code == 409} == {"receipt_already_recorded"}
    _assert_paid(store, buyer, order, total)


def test_parts_of_a_wire_recorded_at_once_complete_it_once(two_of_payments: FaultyStore, rng: random.Random) -> None:
    """Each part comes twice, from two clerks; the last ones of them are more than was due."""
    store, buyer, clerk = two_of_payments, two_of_payments.client(), two_of_payments.client(_FINANCE)
    order = buyer.order_by("wire")
    total = _total(order)
    part = -(-total // rng.randint(2, 5))
    parts = [f"ST-{order['number']}/{number}" for number in range(-(-total // part) + 1)]

    asked = rng.sample(parts * 2, len(parts) * 2)

    told = _all([partial(_insist, clerk, part, text, order_id=order["id"]) for text in asked])

    states = [answer.json()["payment"]["state"] for answer in told if answer.status_code == 201]
    assert len(states) == len(parts)
    assert states.count("captured") == 2  # the one that completes it, and the one that was not needed
    _assert_paid(store, buyer, order, part * len(parts))


def test_payments_killed_in_the_middle_of_recording(faulty: FaultyStore, rng: random.Random) -> None:
    _record_while_killed(faulty, rng.choice(_PLACES))


@pytest.mark.long
@pytest.mark.parametrize("place", _PLACES)
def test_payments_killed_there_while_recording(faulty: FaultyStore, rng: random.Random, place: str) -> None:
    _record_while_killed(faulty, place)


def _record_while_killed(faulty: FaultyStore, place: str) -> None:
    """Two clerks insist, each with a key of their own, until both are answered: one effect."""
    buyer, clerk = faulty.client(), faulty.client(_FINANCE)
    order = buyer.order_by("wire")
    assert_nothing_broken(faulty)  # no event is on its way that could die at the place
    total, statement = _total(order), f"ST-{order['number']}"
    before = faulty.lines_of("payments", f"failpoint {place}: kill")
    faulty.relaunch("payments", PUNCHCARD_FAILPOINTS=f"{place}=kill@1")

    told = _all([partial(_insist, clerk, total, statement, order_id=order["id"])] * 2)

    wait_until(lambda: faulty.lines_of("payments", f"failpoint {place}: kill") > before, f"payments to die at {place}")
    assert sorted(answer.status_code for answer in told) == [201, 409]
    _assert_paid(faulty, buyer, order, total)


def _insist(clerk: Client, amount_minor: int, bank_reference: str, **which: Any) -> Any:
    """The answer that means something, asking again with the same key until there is one."""
    key, deadline = str(uuid.uuid4()), time.monotonic() + _INSISTS_S
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            answer = clerk.record(amount_minor, bank_reference, key, **which)
            if answer.status_code < 500 and answer.status_code != 429:
                return answer
        time.sleep(0.2)
    raise AssertionError(f"no answer about {bank_reference}")


def _all(calls: Sequence[Callable[[], Any]]) -> Sequence[Any]:
    """What they all answer, called at once."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def _total(order: Any) -> int:
    return int(order["totals"]["total"]["amount_minor"])


def _assert_paid(store: FaultyStore, buyer: Client, order: Any, received_minor: int) -> None:
    """It is handed over once; all that came is in the books, once; and nothing is broken anywhere."""
    buyer.fulfilled(order["id"])
    report = assert_nothing_broken(store)
    (intent,) = [each for each in report.facts.intents if each["order_id"] == order["id"]]
    assert (intent["captures"], intent["received"]["amount_minor"]) == (1, received_minor)
    assert intent["surplus"]["amount_minor"] == received_minor - _total(order)
    assert len([item for item in report.facts.brought if item["order_id"] == order["id"]]) == 1
