"""The broker ends, the way to it breaks or falls silent, it has no memory left, nobody is at the other end."""

from __future__ import annotations

import random
import signal
import uuid
from typing import Any

import pytest
import requests
from harness.detour import Detour
from harness.faulty import FaultyStore, assert_nothing_broken
from harness.load import Load
from harness.orders import Asked, charges_under_way, ready_to_order, until_answered
from harness.proxy import TO_CLIENT, TO_SERVER
from kombu import Connection
from store import Client

from chassis.messaging.topology import rpc_queue
from chassis.testing import wait_until

pytestmark = pytest.mark.journey


def test_the_broker_is_restarted_and_killed_under_load(faulty: FaultyStore, rng: random.Random) -> None:
    with Load(faulty, rng) as load:
        for end in rng.sample([faulty.rabbit.stop, faulty.rabbit.kill], 2):
            load.wait_answered(rng.randint(1, 3))
            end()
            faulty.rabbit.start()
        load.wait_answered(3)
    load.assert_kept()


#: A process, and what is on the wire between it and the broker at the moment at which the connection is cut.
_MOMENTS = {
    "gateway": [(TO_SERVER, b"cart.place_order"), (TO_SERVER, b"cart.get_cart")],
    "cart": [(TO_SERVER, b"payments.collect"), (TO_SERVER, b'"result"'), (TO_CLIENT, b"credits.order_credited.v1")],
    "payments": [(TO_SERVER, b'"result"'), (TO_CLIENT, b"payments.collect"), (TO_SERVER, b"payments.captured.v1")],
    "credits": [(TO_CLIENT, b"cart.order_paid.v1"), (TO_SERVER, b"credits.card_issued.v1")],
}


def test_connections_are_cut_in_mid_conversation(faulty: FaultyStore, rng: random.Random) -> None:
    proxies = {name: faulty.broker_proxy() for name in _MOMENTS}
    try:
        faulty.relaunch_each({name: {"AMQP_URI": faulty.amqp_through(proxy)} for name, proxy in proxies.items()})
        with Load(faulty, rng) as load:
            load.wait_answered(1)
            for name, proxy in proxies.items():
                direction, pattern = rng.choice(_MOMENTS[name])
                proxy.cut_on(pattern, direction, passes=rng.random() < 0.5, times=2)
            for proxy in proxies.values():
                proxy.wait_cut(90)
            load.wait_answered(3)
        load.assert_kept()
    finally:
        faulty.relaunch(*proxies)
        for proxy in proxies.values():
            proxy.stop()


def test_a_connection_that_is_half_open_is_given_up(faulty: FaultyStore, rng: random.Random) -> None:
    """Nothing arrives and nothing is refused; only silence says so. Heartbeats of a second, for the test's sake."""
    victims = ("cart", "credits")
    with faulty.broker_proxy() as proxy:
        faulty.relaunch(*victims, AMQP_URI=faulty.amqp_through(proxy) + "?heartbeat=2")
        with Load(faulty, rng) as load:
            load.wait_answered(rng.randint(1, 3))
            proxy.swallow(new_ones=False)
            load.wait_answered(3)
        load.assert_kept()
        faulty.relaunch(*victims)


def test_whoever_asked_is_gone_when_the_answer_comes(faulty: FaultyStore, rng: random.Random) -> None:
    """The caller and the queue of its replies, in mid-checkout; then a caller whose queue never was."""
    faulty.relaunch("payments", PUNCHCARD_FAILPOINTS="payments.charged=sleep:2@1")
    ada = faulty.client()
    body, key = ready_to_order(ada), str(uuid.uuid4())
    asked = Asked(ada, body, key)
    wait_until(lambda: charges_under_way(faulty), "the charge")
    faulty.kill_9("gateway")
    assert asked.answer() is None
    again = until_answered(ada, body, key)
    assert again.status_code == 201, again.text
    _publish_request(faulty, "cart.get_cart", reply_to="nobody-listens-here", headers={"reply_exchange": ""})
    ada.fulfilled(again.json()["id"])
    assert len(faulty.charges(again.json()["id"])) == 1
    assert_nothing_broken(faulty)


def test_a_dead_target_is_told_of_at_once_and_never_runs_what_has_expired(
    faulty: FaultyStore, rng: random.Random
) -> None:
    alan = faulty.client("alan@acme.example")
    alan.empty_cart()
    with faulty.away("cart"):
        late = alan.ask(
            "POST", "/v1/cart/lines", {"sku": "HOURLY-300", "quantity": 1, "credit_destination": "organization"}
        )
        assert (late.status_code, late.json()["code"]) == (503, "unavailable")
        assert int(late.headers["Retry-After"]) > 0
        wait_until(lambda: faulty.depths(rpc_queue("cart"))[rpc_queue("cart")] == 0, "the request to expire")
    assert alan.get("/v1/cart")["lines"] == []
    assert_nothing_broken(faulty)


def test_a_memory_alarm_refuses_requests_and_loses_nothing(faulty: FaultyStore, rng: random.Random) -> None:
    """The broker stops reading from whoever publishes. What had reached a service is committed all the same, new
    requests are refused at once, and what was committed leaves when the alarm is over."""
    faulty.relaunch("payments", PUNCHCARD_FAILPOINTS="payments.charged=sleep:6")
    faulty.relaunch("gateway", GATEWAY_RPC_TIMEOUT_S="25")
    buyers = [faulty.client(email) for email in ("ada@acme.example", "alan@acme.example", "gus@globex.example")]
    asked = [Asked(buyer, ready_to_order(buyer), str(uuid.uuid4())) for buyer in buyers]
    wait_until(lambda: charges_under_way(faulty) == 3, "three charges")
    faulty.rabbit.control("set_vm_memory_high_watermark", "0")
    try:
        wait_until(lambda: charges_under_way(faulty) == 0, "the charges to be committed")
        wait_until(lambda: _refused_at_once(buyers[0]), "requests to be refused")
    finally:
        faulty.rabbit.control("set_vm_memory_high_watermark", "absolute", "1GB")
    faulty.relaunch("payments", "gateway")
    for each in asked:
        each.answer()
        placed = until_answered(each.client, each.body, each.key)
        assert placed.status_code == 201, placed.text
        assert each.client.fulfilled(placed.json()["id"])
        assert len(faulty.charges(placed.json()["id"])) == 1
    assert_nothing_broken(faulty)


def test_sigterm_hands_back_nothing_that_is_done(faulty: FaultyStore, rng: random.Random) -> None:
    """With events handled and not yet acknowledged, and with a checkout under way: 0 requeued."""
    queue = "credits.on.cart.order_paid.v1"
    faulty.relaunch("credits", PUNCHCARD_FAILPOINTS="event.handled=sleep:2")
    faulty.relaunch("payments", PUNCHCARD_FAILPOINTS="payments.charged=sleep:2@3")
    ada = faulty.client()
    before = _handled(faulty, "credits")
    for _ in range(2):
        ada.empty_cart()
        ada.buy_card()
    asked = Asked(ada, ready_to_order(ada), str(uuid.uuid4()))
    wait_until(lambda: charges_under_way(faulty) and _handled(faulty, "credits") - before, "work to be under way")
    with faulty.away("credits", signal.SIGTERM) as status:
        assert status == 0
        done = _handled(faulty, "credits")
        assert done - before
        assert done.isdisjoint(faulty.waiting(queue))
    with faulty.away("cart", signal.SIGTERM) as status:
        assert status == 0
        placed = asked.answer()
        assert placed is not None
        assert placed.status_code == 201, placed.text
    faulty.relaunch("payments")
    assert_nothing_broken(faulty)


@pytest.mark.parametrize(
    "copies", [2, pytest.param(1, marks=pytest.mark.long), pytest.param(5, marks=pytest.mark.long)]
)
def test_every_event_arrives_several_times_in_any_order(faulty: FaultyStore, rng: random.Random, copies: int) -> None:
    with Detour(faulty.rabbit.uri, rng, copies) as detour, Load(faulty, rng) as load:
        load.wait_answered(8)
    assert detour.passed >= 8 * copies  # a declined order has one event, a paid one many
    assert detour.overtaken
    load.assert_kept()


def test_two_relays_of_one_outbox_and_one_is_killed(faulty: FaultyStore, rng: random.Random) -> None:
    """What the dead one had committed, or published and not marked, leaves through the other one."""
    place = rng.choice(["outbox.committed", "relay.published"])
    service = rng.choice(["cart", "credits"])
    another = faulty.launch_another(service)
    with faulty.unsupervised():
        faulty.relaunch(service, PUNCHCARD_FAILPOINTS=f"{place}=kill@{rng.randint(1, 2)}")
        with Load(faulty, rng) as load:
            wait_until(lambda: not faulty.child(service).running, f"{service} to be killed", 90)
            load.wait_answered(2)
        load.assert_kept()
    faulty.wait_ready()
    faulty.dismiss(another)
    assert_nothing_broken(faulty)


def _handled(faulty: FaultyStore, service: str) -> set[str]:
    return {str(row[0]) for row in faulty.rows(service, "SELECT event_id FROM inbox")}


def _refused_at_once(client: Client) -> bool:
    """Whether a request is refused, and not because its 25 s are over."""
    try:
        answer = client.ask("GET", "/v1/cart", timeout=15)
    except requests.Timeout:
        return False
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


def _publish_request(faulty: FaultyStore, method: str, **properties: Any) -> None:
    with Connection(faulty.rabbit.uri) as connection:
        connection.Producer().publish(
            {"args": [], "kwargs": {}}, exchange="nameko-rpc", routing_key=method, correlation_id="x", **properties
        )
