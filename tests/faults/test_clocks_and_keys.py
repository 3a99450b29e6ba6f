"""Clocks that are an hour off, and keys that are used again."""

from __future__ import annotations

import random
import signal
import uuid

import pytest
from harness.faulty import FaultyStore, assert_nothing_broken
from harness.load import Load
from harness.orders import Asked, answered_at_all, charges_under_way, ready_to_order, until_answered

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

_AN_HOUR = "3600"


def test_clocks_an_hour_slow(faulty: FaultyStore, rng: random.Random) -> None:
    names = rng.sample(["cart", "payments", "credits", "notifications", "catalog"], 3)
    faulty.relaunch(*names, PUNCHCARD_CLOCK_OFFSET_S=f"-{_AN_HOUR}")
    with Load(faulty, rng) as load:
        load.wait_answered(3)
    load.assert_kept()
    faulty.relaunch(*names)
    assert_nothing_broken(faulty)


def test_what_a_fast_clock_has_left_behind_waits_for_no_hour(faulty: FaultyStore, rng: random.Random) -> None:
    """Events and leases from an hour ahead, of processes that died; their successors have the right time."""
    ada = faulty.client()
    faulty.relaunch("credits", PUNCHCARD_CLOCK_OFFSET_S=_AN_HOUR, PUNCHCARD_FAILPOINTS="outbox.committed=kill@1")
    faulty.relaunch("payments", PUNCHCARD_CLOCK_OFFSET_S=_AN_HOUR, PUNCHCARD_FAILPOINTS="payments.charged=kill@1")
    body, key = ready_to_order(ada), str(uuid.uuid4())
    # whoever is ahead believes no customer, so that it is cart itself which has the order paid, a little later
    placed = ada.place(body, key)
    assert placed.status_code == 202, placed.text
    order_id, query = placed.json()["id"], "SELECT state FROM orders WHERE id = :id"
    wait_until(lambda: faulty.rows("cart", query, id=order_id) == [("fulfilled",)], "the order", 90)
    again = until_answered(ada, body, key)
    assert (again.status_code, again.json()["id"]) == (201, order_id)
    assert_nothing_broken(faulty)


@pytest.mark.long
def test_an_order_that_a_fast_clock_has_leased_is_resumed(faulty: FaultyStore, rng: random.Random) -> None:
    ada = faulty.client()
    body, key = ready_to_order(ada), str(uuid.uuid4())
    with faulty.away("payments"):
        asked = ada.place(body, key)
        assert asked.status_code == 202, asked.text
        order_id = asked.json()["id"]
        faulty.relaunch("cart", PUNCHCARD_CLOCK_OFFSET_S=_AN_HOUR)
        query = "SELECT count(*) FROM orders WHERE id = :id AND next_attempt_at > now() + interval '50 minutes'"
        wait_until(lambda: faulty.rows("cart", query, id=order_id) == [(1,)], "the fast clock to lease it")
        faulty.relaunch("cart")
    ada.fulfilled(order_id)
    assert_nothing_broken(faulty)


def test_keys_in_flight_survive_a_crash_and_the_retry_resumes(faulty: FaultyStore, rng: random.Random) -> None:
    faulty.relaunch("payments", PUNCHCARD_FAILPOINTS="payments.charged=sleep:3@1")
    ada = faulty.client()
    body, key = ready_to_order(ada), str(uuid.uuid4())
    asked = Asked(ada, body, key)
    wait_until(lambda: charges_under_way(faulty), "the charge")
    with faulty.away(rng.choice(["cart", "payments"]), signal.SIGKILL):
        pass
    other = {**body, "purchase_order": {"number": "PO-7"}}
    refused = answered_at_all(ada, other, key)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    placed = until_answered(ada, body, key)
    assert placed.status_code == 201, placed.text
    first = asked.answer()
    if first is not None and first.status_code == 201:
        assert first.json() == placed.json()
    again = ada.place(body, key)
    assert (again.status_code, again.json()) == (201, placed.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert answered_at_all(ada, other, key).json()["code"] == "idempotency_key_reused"
    ada.fulfilled(placed.json()["id"])
    assert len(faulty.charges(placed.json()["id"])) == 1
    assert_nothing_broken(faulty)
