"""Cards that end without being claimed: recalled by their issuer, or expired."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from chassis.testing import identity
from credits.domain import codes
from credits.use_cases.expire_cards import expire_cards
from credits.use_cases.get_card import get_card
from credits.use_cases.reconcile import credit_totals, reconcile
from kernel.errors import Refusal


def code_of(call) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def test_a_recalled_card_gives_its_credits_to_its_issuer_and_its_code_is_dead(desk):
    card_id, number, code = desk.buy_card()
    reply = desk.recall(card_id, key="k")
    assert (reply["card"]["state"], reply["credits"], reply["balance"], reply["replayed"]) == (
        "recalled",
        300,
        300,
        False,
    )
    assert desk.recall(card_id, key="k") == {**reply, "replayed": True}
    assert code_of(lambda: desk.claim(number, code)) == "card_not_claimable"
    assert desk.balance() == 300
    assert desk.events("credits.card_recalled.v1") == [
        {
            "card_id": card_id, "number_masked": codes.masked(number), "credits": 300, "order_id": "ord_1",
            "issuer": {"id": "org_acme", "name": "Acme"},
            "buyer": {"email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
            "recalled_at": "2026-11-22T12:00:00.000Z", "reason": "issuer",
        }
    ]  # fmt: skip
    assert reconcile(desk.app) == []


def test_recalled_credits_can_be_spent(desk):
    card_id, _, _ = desk.buy_card()
    desk.recall(card_id)
    assert desk.spend(300)["balance"] == 0
    assert reconcile(desk.app) == []


def test_what_is_over_cannot_be_recalled(desk):
    claimed, number, code = desk.buy_card(order_id="ord_1")
    desk.claim(number, code)
    assert code_of(lambda: desk.recall(claimed)) == "card_claimed"
    recalled, _, _ = desk.buy_card(order_id="ord_2")
    desk.recall(recalled)
    assert code_of(lambda: desk.recall(recalled)) == "card_recalled"
    expired, _, _ = desk.buy_card(order_id="ord_3")
    desk.clock.advance(days=365)
    assert code_of(lambda: desk.recall(expired)) == "card_expired"
    expire_cards(desk.app)
    assert code_of(lambda: desk.recall(expired)) == "card_expired"
    assert reconcile(desk.app) == []


def test_a_frozen_card_can_be_recalled(desk):
    card_id, _, _ = desk.buy_card()
    desk.set_state(card_id, "frozen")
    assert desk.recall(card_id)["balance"] == 300


def test_only_its_issuer_recalls_a_card(desk):
    card_id, number, code = desk.buy_card()
    assert code_of(lambda: desk.recall(card_id, desk.bolt)) == "not_found"
    desk.claim(number, code)
    assert code_of(lambda: desk.recall(card_id, desk.bolt)) == "not_found"  # not its claimant either
    assert code_of(lambda: desk.recall("scc_none")) == "not_found"
    for role in ("viewer", "ticket", "support"):
        assert code_of(lambda role=role: desk.recall(card_id, identity(role))) == "forbidden"


def test_the_key_of_a_recall_is_good_for_that_card_only(desk):
    one, _, _ = desk.buy_card()
    other, _, _ = desk.buy_card(order_id="ord_2")
    desk.recall(one, key="k")
    assert code_of(lambda: desk.recall(other, key="k")) == "idempotency_key_reused"


def outcome(call) -> str:
    try:
        call()
    except Refusal as refusal:
        return refusal.code
    return "done"


def test_a_recall_and_a_claim_at_once_have_one_winner(desk):
    for round_ in range(10):
        card_id, number, code = desk.buy_card(order_id=f"ord_{round_}")
        with ThreadPoolExecutor(2) as threads:
            claim = threads.submit(outcome, lambda number=number, code=code: desk.claim(number, code))
            recall = threads.submit(outcome, lambda card_id=card_id: desk.recall(card_id))
        assert (claim.result(), recall.result()) in (("done", "card_claimed"), ("card_not_claimable", "done"))
    assert desk.balance() + desk.balance(desk.bolt) == 3000
    assert reconcile(desk.app) == []


def test_the_sweep_posts_what_has_expired_once(desk):
    for number in range(3):
        desk.buy_card(order_id=f"ord_{number}")
    desk.clock.advance(days=364)
    card_id, _, _ = desk.buy_card(order_id="ord_late")
    assert expire_cards(desk.app) == 0
    desk.clock.advance(days=1)
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: expire_cards(desk.app), range(4))) == 3
    assert credit_totals(desk.app) == {
        "brought": 1200, "on_organizations": 0, "on_cards": 300, "spent": 0, "expired": 900, "taken_back": 0,
        "given": 0, "taken_off": 0, "on_hold": 0,
    }  # fmt: skip
    events = desk.events("credits.card_expired.v1")
    assert [event["expired_at"] for event in events] == ["2027-11-22T12:00:00.000Z"] * 3
    assert get_card(desk.app, desk.acme, card_id=card_id)["state"] == "issued"
    assert reconcile(desk.app) == []


def test_a_backlog_of_expired_cards_is_swept_in_one_run(desk, line, monkeypatch):
    monkeypatch.setattr("credits.use_cases.expire_cards._BATCH", 4)
    desk.pay(line("lin_a", credits=1, quantity=9, to="support_card"))
    desk.clock.advance(days=365)
    assert expire_cards(desk.app) == 9


def test_frozen_cards_expire_and_cards_without_expiry_do_not(desk):
    card_id, _, _ = desk.buy_card()
    desk.set_state(card_id, "frozen")
    desk.app.card_validity = None
    desk.buy_card(order_id="ord_2")
    desk.clock.advance(days=10_000)
    assert expire_cards(desk.app) == 1
    assert reconcile(desk.app) == []


def test_a_claim_and_the_sweep_at_the_last_moment(desk):
    """A claim in time wins over a sweep that comes later, and none comes after it."""
    desk.app.card_validity = timedelta(days=1)
    _, number, code = desk.buy_card()
    desk.clock.advance(days=1, seconds=-1)
    desk.claim(number, code)
    desk.clock.advance(days=2)
    assert expire_cards(desk.app) == 0
    assert desk.balance(desk.bolt) == 300
