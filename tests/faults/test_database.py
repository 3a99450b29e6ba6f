"""The database ends, has no connection to spare, or falls silent."""

from __future__ import annotations

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness.faulty import FaultyStore, assert_nothing_broken
from harness.load import Load

from chassis.testing import wait_until

pytestmark = pytest.mark.journey


def test_the_database_is_restarted_and_killed_under_load(faulty: FaultyStore, rng: random.Random) -> None:
    with Load(faulty, rng) as load:
        for end in rng.sample([faulty.postgres.stop, faulty.postgres.kill], 2):
            load.wait_answered(rng.randint(1, 3))
            end()
            faulty.postgres.start()
        load.wait_answered(3)
    load.assert_kept()


def test_without_a_connection_to_spare_requests_are_refused_and_nothing_is_half_written(
    faulty: FaultyStore, rng: random.Random
) -> None:
    faulty.relaunch("cart", PUNCHCARD_DATABASE_CONNECTIONS="1")
    ada = faulty.client()
    ada.empty_cart()
    body, key = ada.order_body(ada.fill_cart()), str(uuid.uuid4())
    orders = faulty.rows("cart", "SELECT count(*) FROM orders")

    def refused(answers: list[Any]) -> list[Any]:
        return [each.result() for each in answers if each.done() and each.result().status_code == 503]

    with ThreadPoolExecutor(8) as pool:
        with faulty.locked("cart", "orders"):
            answers = [pool.submit(ada.place, body, key) for _ in range(8)]
            wait_until(lambda: len(refused(answers)) >= 2, "requests to be refused")
        found = [each.result() for each in answers]
    assert {each.status_code for each in found} <= {201, 202, 409, 503}
    for each in refused(answers):
        assert int(each.headers["Retry-After"]) > 0
        assert each.json()["code"] == "unavailable"
    placed: list[Any] = []

    def answered() -> bool:
        placed.append(ada.place(body, key))
        return bool(placed[-1].status_code == 201)

    wait_until(answered, "the order", 60)
    assert faulty.rows("cart", "SELECT count(*) FROM orders") == [(orders[0][0] + 1,)]
    ada.fulfilled(placed[-1].json()["id"])
    faulty.relaunch("cart")
    assert_nothing_broken(faulty)


def test_a_database_that_falls_silent_is_given_up(faulty: FaultyStore, rng: random.Random) -> None:
    """Half-open: what is asked arrives nowhere, and nothing is refused."""
    victims = rng.sample(["cart", "payments", "credits"], 2)
    proxies = {name: faulty.database_proxy() for name in victims}
    try:
        faulty.relaunch_each(
            {
                name: {**faulty.database_through(proxy, name), "PUNCHCARD_DATABASE_TIMEOUT_S": "2"}
                for name, proxy in proxies.items()
            }
        )
        with Load(faulty, rng) as load:
            load.wait_answered(rng.randint(1, 3))
            for proxy in proxies.values():
                proxy.swallow(new_ones=False)
            load.wait_answered(3)
        load.assert_kept()
    finally:
        faulty.relaunch(*victims)
        for proxy in proxies.values():
            proxy.stop()


@pytest.mark.long
def test_connections_to_the_database_are_cut_in_mid_transaction(faulty: FaultyStore, rng: random.Random) -> None:
    """At a COMMIT: whether it was carried out, nobody knows."""
    with faulty.database_proxy() as proxy:
        names = ("cart", "payments", "credits")
        faulty.relaunch_each({name: faulty.database_through(proxy, name) for name in names})
        with Load(faulty, rng) as load:
            load.wait_answered(1)
            for _ in range(3):
                before = proxy.cuts
                proxy.cut_on(b"COMMIT", passes=rng.random() < 0.5)
                wait_until(lambda before=before: proxy.cuts > before, "a commit", 60)
                load.wait_answered(1)
        load.assert_kept()
        faulty.relaunch(*names)
    assert_nothing_broken(faulty)
