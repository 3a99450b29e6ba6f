"""The payment provider times out after charging, fails, talks nonsense, is too busy; its webhooks come twice, late,
out of order, or from somebody else; a cancellation races a charge.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests
from harness.bank import Bank, bank_before
from harness.faulty import FaultyStore, assert_nothing_broken
from harness.load import Load
from store import Client

from chassis.testing import wait_until
from payments.offline_provider.webhooks import SIGNATURE_HEADER, signature

pytestmark = pytest.mark.journey

_IMPATIENT = {"PAYMENTS_PROVIDER_READ_TIMEOUT_MS": "1500"}


@pytest.fixture(scope="module")
def bank_of_module(fault_store: FaultyStore) -> Iterator[Bank]:
    """Payments, asking a provider that the tests can make misbehave."""
    with bank_before(fault_store.address_of("payments", "PAYMENTS_PROVIDER_URL")) as bank:
        fault_store.relaunch("payments", PAYMENTS_PROVIDER_URL=bank.url, **_IMPATIENT)
        yield bank
        fault_store.relaunch("payments")


@pytest.fixture
def bank(faulty: FaultyStore, bank_of_module: Bank) -> Iterator[Bank]:
    """That provider, which behaves again afterwards."""
    yield bank_of_module
    bank_of_module.behave()


def _buyer(faulty: FaultyStore, email: str = "ada@acme.example") -> tuple[Client, dict[str, Any]]:
    """Somebody whose cart holds one card, and the wish to order it."""
    client = faulty.client(email)
    client.empty_cart()
    return client, client.order_body(client.fill_cart())


def test_it_loses_answers_fails_and_talks_nonsense(faulty: FaultyStore, bank: Bank, rng: random.Random) -> None:
    with Load(faulty, rng) as load:
        for fault in rng.sample(["lost", "down", "garbage", "busy"], 4):
            bank.fault = fault
            wait_until(lambda fault=fault: bank.met(fault) >= rng.randint(1, 4), f"the provider to be {fault}", 60)
            bank.fault = None
            load.wait_answered(2)
    load.assert_kept()


@pytest.mark.usefixtures("bank")
def test_a_card_that_times_out_after_charging_is_found_charged_once(faulty: FaultyStore) -> None:
    ada, body = _buyer(faulty)
    body["payment"]["provider_token"] = faulty.demo["provider_tokens"]["timeout"]
    waiting = _placed(ada, body)
    assert waiting.status_code == 202, waiting.text
    order = ada.fulfilled(waiting.json()["id"])
    assert len(faulty.charges(order["id"])) == 1
    assert_nothing_broken(faulty)


def test_one_that_is_too_busy_is_left_alone_for_as_long_as_it_says(faulty: FaultyStore, bank: Bank) -> None:
    ada, body = _buyer(faulty)
    bank.fault, bank.retry_after_s = "busy", 4
    bank.seen.clear()
    waiting = _placed(ada, body)
    assert waiting.status_code == 202, waiting.text
    wait_until(lambda: bank.met("busy") > 0, "the provider to be asked", 60)
    bank.fault = None
    order = ada.fulfilled(waiting.json()["id"])
    (told, _, _, fault), (asked, *_) = bank.seen[:2]
    assert fault == "busy"
    assert asked - told >= 4
    assert len(faulty.charges(order["id"])) == 1


def test_webhooks_that_are_forged_stale_early_twice_or_out_of_order(
    faulty: FaultyStore, bank: Bank, rng: random.Random
) -> None:
    secret = json.loads((faulty.folder / "keys.json").read_text())["PAYMENTS_WEBHOOK_SECRET"]
    run = uuid.UUID(int=rng.getrandbits(128)).hex

    def tell(event_id: str, key: str, kind: str, *, age_s: int = 0, secret: str = secret) -> int:
        charge = {"idempotency_key": key, "status": kind, "amount_minor": 1, "currency": "USD"}
        event = {"id": f"{run}-{event_id}", "type": f"charge.{kind}", "data": {"charge": charge}}
        body = json.dumps(event).encode()
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature(body, int(time.time()) - age_s, secret),
        }
        url = f"{faulty.base_url}/v1/webhooks/payments"
        return int(requests.post(url, data=body, headers=headers, timeout=30).status_code)

    def noted() -> set[str]:
        rows = faulty.rows("payments", "SELECT id FROM webhook_event WHERE id LIKE :those", those=f"{run}-%")
        return {row[0].removeprefix(f"{run}-") for row in rows}

    ada, body = _buyer(faulty)
    bank.fault = "lost"  # charged, and nobody has been told
    waiting = _placed(ada, body)
    assert waiting.status_code == 202, waiting.text
    order_id = waiting.json()["id"]
    bank.fault = "down"
    [(key,)] = faulty.rows(
        "payments",
        "SELECT provider_key FROM payment_attempt JOIN payment_intent i ON i.id = intent_id WHERE order_id = :id",
        id=order_id,
    )
    for event_id, age_s, by in (
        ("forged", 0, "whsec_of_somebody_else"), ("stale", 400, secret), ("early", -400, secret),
    ):  # fmt: skip
        assert tell(event_id, key, "failed", age_s=age_s, secret=by) == 401
    assert noted() == set()
    # news that it failed comes first, twice, and is a lie; the truth comes late; the provider is asked each time
    told = [("1", "failed"), ("1", "failed"), ("2", "voided"), ("3", "succeeded"), ("3", "succeeded")]
    for event_id, kind in told:
        assert tell(event_id, key, kind) == 204
    bank.fault = None
    assert tell("4", key, "failed") == 204
    assert ada.fulfilled(order_id)["state"] == "fulfilled"
    for event_id, kind in rng.sample(told, len(told)):
        assert tell(event_id, key, kind) == 204
    assert noted() == {"1", "2", "3", "4"}
    due = waiting.json()["totals"]["total"]["amount_minor"]
    assert [charge["amount_minor"] for charge in faulty.charges(order_id)] == [due]
    assert_nothing_broken(faulty)


def test_cancel_against_payment(faulty: FaultyStore, bank: Bank, rng: random.Random) -> None:
    """Exactly one wins, and both sides are told the same."""
    ada, _ = _buyer(faulty)
    alan = faulty.client("alan@acme.example")  # of the same organisation
    for hold in ("before_charge", "after_charge", "chance", "chance", "chance"):
        cancelled = threading.Event()
        if hold == "chance":
            moments = [rng.uniform(0.0, 0.4) for _ in range(2)]
            bank.behave()
            bank.before_charge = lambda moments=moments: time.sleep(moments[0])
        else:
            moments = [0.0, 0.0]
            setattr(bank, hold, lambda cancelled=cancelled: cancelled.wait(20))
        body = ada.order_body(ada.get("/v1/cart"))
        with ThreadPoolExecutor(1) as pool:
            placing = pool.submit(_placed_or_refused, ada, body)
            answer = _cancel_what_is_pending(alan, placing, moments[1])
            cancelled.set()
            placed = placing.result()
        bank.behave()
        state = _state_that_fits(faulty, ada, placed, answer)
        if hold != "chance":
            assert state == ("cancelled" if hold == "before_charge" else "fulfilled")
        if state != "cancelled":
            ada.fill_cart()
    assert_nothing_broken(faulty)


def test_an_order_whose_outcome_nobody_knows_can_be_cancelled_or_is_paid(faulty: FaultyStore, bank: Bank) -> None:
    """The provider was down while it was asked to charge, and while it was asked to give up."""
    ada, body = _buyer(faulty)
    for fault, expected in (("down", "cancelled"), ("lost", "fulfilled")):
        bank.fault = fault
        order_id = _placed(ada, body).json()["id"]
        bank.fault = "down"
        key = str(uuid.uuid4())
        first = _cancelled(ada, order_id, key)
        assert (first.status_code, first.json()["state"]) == (202, "pending_payment")
        bank.fault = None
        _wait_for(ada, order_id, expected)
        again = _cancelled(ada, order_id, key)
        assert again.status_code == (200 if expected == "cancelled" else 409)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert len(faulty.charges(order_id)) == (0 if expected == "cancelled" else 1)
    assert_nothing_broken(faulty)


def _placed(client: Client, body: dict[str, Any]) -> Any:
    """The answer to an order, asked for again while the machine is too slow to give one."""
    key, answers = str(uuid.uuid4()), []

    def placed() -> bool:
        answers.append(client.insist(lambda: client.place(body, key)))
        return answers[-1].status_code in (201, 202)

    wait_until(placed, "the order to be placed", 120)
    return answers[-1]


def _wait_for(client: Client, order_id: str, *states: str) -> str:
    """Wait until an order has come to one of these states; which."""
    wait_until(lambda: client.get(f"/v1/orders/{order_id}")["state"] in states, f"it to be {states}", 60)
    return str(client.get(f"/v1/orders/{order_id}")["state"])


def _placed_or_refused(client: Client, body: dict[str, Any]) -> Any:
    """The answer to an order that may be cancelled meanwhile."""
    key = str(uuid.uuid4())
    return client.insist(lambda: client.place(body, key))


def _cancelled(client: Client, order_id: str, key: str) -> Any:
    """The answer to a wish to cancel, asked for again while the first one is under way."""
    answers: list[Any] = []

    def answered() -> bool:
        answers.append(client.insist(lambda: client.ask("POST", f"/v1/orders/{order_id}/cancel", key=key)))
        return bool(answers[-1].json().get("code") != "idempotency_key_in_flight")

    wait_until(answered, "an answer about the cancellation", 120)
    return answers[-1]


def _cancel_what_is_pending(client: Client, placing: Future[Any], pause_s: float) -> Any:
    """Cancel the order that is being placed, once it is there; the answer, and None if it was over before."""
    while not placing.done():
        pending = client.get("/v1/orders?state=pending_payment")["items"]
        if pending:
            time.sleep(pause_s)
            return _cancelled(client, pending[0]["id"], str(uuid.uuid4()))
    return None


def _state_that_fits(faulty: FaultyStore, client: Client, placed: Any, cancelled: Any) -> str:
    """What the order came to, when both answers agree with it."""
    order_id = (cancelled or placed).json().get("id") or (cancelled or placed).json()["order_id"]
    state = _wait_for(client, order_id, "cancelled", "fulfilled")
    assert len(faulty.charges(order_id)) == (0 if state == "cancelled" else 1)
    if placed.status_code != 202 and placed.json().get("code") != "idempotency_key_in_flight":
        assert placed.status_code == (409 if state == "cancelled" else 201), placed.text
    if cancelled is not None and cancelled.status_code != 202:
        assert cancelled.status_code == (200 if state == "cancelled" else 409), cancelled.text
    return state
