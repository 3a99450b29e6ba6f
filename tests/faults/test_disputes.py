"""Disputes whose services die in the middle: what is unspent is frozen once, and let go or taken back once."""

from __future__ import annotations

import random

import pytest
from harness.asking import killed_once, new_key
from harness.faulty import FaultyStore, assert_nothing_broken
from store import number_and_code

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

#: A webhook comes after ten seconds; without one the provider is asked every minute.
_HEARD_S = 120
#: With its work committed and not acknowledged, or not sent on.
_PLACES = ("event.handled", "outbox.committed")


@pytest.mark.parametrize(("outcome", "state"), [("won", "issued"), ("lost", "recalled")])
def test_cart_and_credits_are_killed_as_they_freeze_and_as_they_end_it(
    faulty: FaultyStore, rng: random.Random, outcome: str, state: str
) -> None:
    ada, gus = faulty.client(), faulty.client("gus@globex.example")
    ada.empty_cart()
    order = ada.fulfilled(ada.buy_card(2)["id"])
    path = f"/v1/orders/{order['id']}"
    wait_until(lambda: len(faulty.card_mails(order["number"])) == 2, "the card mails", 60)
    first, second = (
        dict(zip(("number", "code"), number_and_code(mail), strict=True)) for mail in faulty.card_mails(order["number"])
    )
    before = gus.balance()
    assert gus.ask("POST", "/v1/support-cards/claim", first, key=f"{outcome}-{new_key(rng)}").status_code == 200

    def cards() -> list[str]:
        answer = gus.insist(lambda: ada.ask("GET", path)).json()
        return sorted(card["state"] for card in answer["support_cards"] or ())

    with killed_once(faulty, {"cart": rng.choice(_PLACES), "credits": "event.handled"}):
        dispute = faulty.dispute(order["id"])
        wait_until(lambda: cards() == ["claimed", "frozen"], "the freeze", _HEARD_S)
    refused = gus.insist(lambda: gus.ask("POST", "/v1/support-cards/claim", second, key=f"{outcome}-{new_key(rng)}"))
    assert refused.json()["code"] == "card_not_claimable"

    with killed_once(faulty, {"cart": rng.choice(_PLACES), "credits": "event.handled"}):
        faulty.decide_dispute(dispute, outcome)
        wait_until(lambda: cards() == sorted(["claimed", state]), "the end", _HEARD_S)
    assert gus.insist(lambda: ada.ask("GET", path)).json()["dispute"]["state"] == outcome
    assert gus.balance() - before == 300
    assert_nothing_broken(faulty)
