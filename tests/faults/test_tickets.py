"""Tickets whose services are killed between the credits and the ticket: one hold, one open ticket, one debit."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from harness.faulty import FaultyStore, assert_nothing_broken
from store import Client

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

DEPLOYMENT = "30550007"


def _key(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _insist(client: Client, path: str, body: Any, key: str) -> Any:
    """Ask until the answer is final, as a client does whose connection or service dies."""
    answers: list[Any] = []

    def final() -> bool:
        answers.append(client.insist(lambda: client.ask("POST", path, body, key=key)))
        waits = answers[-1].status_code == 202 or answers[-1].json().get("code") == "idempotency_key_in_flight"
        return not waits

    wait_until(final, path, 120)
    return answers[-1]


def _covered(faulty: FaultyStore) -> Client:
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


def _kill_at_next_step(faulty: FaultyStore) -> int:
    before = faulty.lines_of("support", "failpoint support.asked: kill")
    faulty.relaunch("support", PUNCHCARD_FAILPOINTS="support.asked=kill@1")
    return before


def test_support_killed_between_the_credits_and_the_ticket(faulty: FaultyStore, rng: random.Random) -> None:
    gus, sam = _covered(faulty), faulty.client("sam@punchcard.example")
    balance = gus.balance()
    new = {"deployment_id": DEPLOYMENT, "subject": "Calls drop", "description": "All", "cap_credits": 60}
    key = _key(rng)
    before = _kill_at_next_step(faulty)

    opened = _insist(gus, "/v1/tickets", new, key)

    assert faulty.lines_of("support", "failpoint support.asked: kill") == before + 1
    assert (opened.status_code, opened.json()["state"]) == (201, "open")
    ticket = opened.json()["id"]
    assert [item["id"] for item in gus.get("/v1/tickets?state=open")["items"]] == [ticket]
    assert faulty.rows("credits", "SELECT credits FROM credit_hold WHERE cause = :cause", cause=f"{ticket}/1") == [
        (60,)
    ]
    assert (gus.balance(), gus.get("/v1/credits")["held"]) == (balance - 60, 60)

    worked = sam.ask("POST", f"/v1/tickets/{ticket}/time", {"minutes": 45, "note": "Looked"}, key=_key(rng))
    assert worked.status_code == 201, worked.text
    before = _kill_at_next_step(faulty)
    closed = _insist(sam, f"/v1/tickets/{ticket}/close", None, _key(rng))
    assert faulty.lines_of("support", "failpoint support.asked: kill") == before + 1
    assert (closed.status_code, closed.json()["credits"]["debited"]) == (200, 45)
    assert (gus.balance(), gus.get("/v1/credits")["held"]) == (balance - 45, 0)
    assert_nothing_broken(faulty)


def test_credits_away_while_a_ticket_is_opened(faulty: FaultyStore, rng: random.Random) -> None:
    """What was promised is kept once credits is back, though the customer has gone home."""
    gus = _covered(faulty)
    new = {"deployment_id": DEPLOYMENT, "subject": "Slow", "description": "All", "cap_credits": 10}
    key = _key(rng)
    with faulty.locked("credits", "ledger_account"):  # the balance can be read, and nothing can be posted
        answer = gus.insist(lambda: gus.ask("POST", "/v1/tickets", new, key=key))
        assert (answer.status_code, answer.json()["state"]) == (202, "opening")
        faulty.kill_9("support")
    ticket = answer.json()["id"]
    wait_until(lambda: faulty.answers("support"), "support to be back")
    wait_until(lambda: gus.get(f"/v1/tickets/{ticket}")["state"] == "open", "the ticket to open by itself")
    assert _insist(gus, f"/v1/tickets/{ticket}/close", None, _key(rng)).json()["credits"]["debited"] == 0
    assert_nothing_broken(faulty)
