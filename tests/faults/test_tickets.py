"""Tickets whose services are killed between the credits and the ticket: one hold, one open ticket, one debit."""

from __future__ import annotations

import random

import pytest
from harness.asking import killed_once, new_key, until_final
from harness.faulty import FaultyStore, assert_nothing_broken
from harness.tickets import DEPLOYMENT, covered

from chassis.testing import wait_until

pytestmark = pytest.mark.journey


def test_support_killed_between_the_credits_and_the_ticket(faulty: FaultyStore, rng: random.Random) -> None:
    gus, sam = covered(faulty), faulty.client("sam@punchcard.example")
    balance = gus.balance()
    new = {"deployment_id": DEPLOYMENT, "subject": "Calls drop", "description": "All", "cap_credits": 60}
    key = new_key(rng)

    with killed_once(faulty, {"support": "support.asked"}):
        opened = until_final(gus, "/v1/tickets", new, key)

    assert (opened.status_code, opened.json()["state"]) == (201, "open")
    ticket = opened.json()["id"]
    assert [item["id"] for item in gus.get("/v1/tickets?state=open")["items"]] == [ticket]
    assert faulty.rows("credits", "SELECT credits FROM credit_hold WHERE cause = :cause", cause=f"{ticket}/1") == [
        (60,)
    ]
    assert (gus.balance(), gus.get("/v1/credits")["held"]) == (balance - 60, 60)

    worked = sam.ask("POST", f"/v1/tickets/{ticket}/time", {"minutes": 45, "note": "Looked"}, key=new_key(rng))
    assert worked.status_code == 201, worked.text
    with killed_once(faulty, {"support": "support.asked"}):
        closed = until_final(sam, f"/v1/tickets/{ticket}/close", None, new_key(rng))
    assert (closed.status_code, closed.json()["credits"]["debited"]) == (200, 45)
    assert (gus.balance(), gus.get("/v1/credits")["held"]) == (balance - 45, 0)
    assert_nothing_broken(faulty)


def test_credits_away_while_a_ticket_is_opened(faulty: FaultyStore, rng: random.Random) -> None:
    """What was promised is kept once credits is back, though the customer has gone home."""
    gus = covered(faulty)
    new = {"deployment_id": DEPLOYMENT, "subject": "Slow", "description": "All", "cap_credits": 10}
    key = new_key(rng)
    with faulty.locked("credits", "ledger_account"):  # the balance can be read, and nothing can be posted
        answer = gus.insist(lambda: gus.ask("POST", "/v1/tickets", new, key=key))
        assert (answer.status_code, answer.json()["state"]) == (202, "opening")
        faulty.kill_9("support")
    ticket = answer.json()["id"]
    wait_until(lambda: faulty.answers("support"), "support to be back")
    wait_until(lambda: gus.get(f"/v1/tickets/{ticket}")["state"] == "open", "the ticket to open by itself")
    assert until_final(gus, f"/v1/tickets/{ticket}/close", None, new_key(rng)).json()["credits"]["debited"] == 0
    assert_nothing_broken(faulty)
