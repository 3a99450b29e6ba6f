"""Explaining an entry: from the balance back to the card, the order line, or the staff who gave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from credits.use_cases.list_entries import list_entries
from credits.use_cases.trace_entry import trace_entry
from kernel.errors import Refusal


def trace(desk, entry_id: str, caller=None, any_organization: bool = False) -> dict[str, Any]:
    return trace_entry(desk.app, caller or desk.acme, id=entry_id, any_organization=any_organization)


def newest(desk, caller=None) -> str:
    return list_entries(desk.app, caller or desk.acme, limit=1, cursor=None)["items"][0]["id"]


def code_of(call) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def test_a_spend_leads_to_everything_that_it_drew_from(desk, line):
    desk.pay(line("lin_a", credits=20))
    desk.grant(10)
    card_id, _, _ = desk.buy_card(order_id="ord_2")
    desk.claim(*desk.mailed(card_id), caller=desk.acme)
    spend = desk.spend(130)
    found = trace(desk, spend["id"])
    assert (found["entry"]["amount"], found["uses"]) == (-130, [])
    sources = {source["kind"]: source for source in found["sources"] if source["kind"] != "grant"}
    grants = [source for source in found["sources"] if source["kind"] == "grant"]
    assert sorted((source["credits"], source["free"], source["memo"]) for source in grants) == [
        (-20, False, "1 x 20 credits, order O-1001"), (-10, True, "Sorry"),
    ]  # fmt: skip
    assert {source["memo"]: source["order"] for source in grants} == {
        "1 x 20 credits, order O-1001": {"order_id": "ord_1", "line_id": "lin_a"}, "Sorry": None,
    }  # fmt: skip
    claim = sources["claim"]
    assert (claim["credits"], claim["card"]["id"]) == (-100, card_id)
    assert claim["order"] == {"order_id": "ord_2", "line_id": "lin_ord_2"}


def test_what_came_says_what_became_of_it(desk, line):
    desk.pay(line("lin_a", credits=20))
    grant = newest(desk)
    spend = desk.spend(5)
    found = trace(desk, grant)
    assert [(source["entry_id"], source["credits"]) for source in found["sources"]] == [(grant, 20)]
    assert [(use["entry_id"], use["kind"], use["credits"]) for use in found["uses"]] == [(spend["id"], "spend", -5)]


def test_a_part_of_a_card_leads_to_the_card_that_was_bought(desk):
    card_id, _, _ = desk.buy_card()
    first, _ = desk.split(card_id, 200, 100)["cards"]
    part, _ = desk.split(first["id"], 150, 50)["cards"]
    desk.recall(part["id"])
    [source] = trace(desk, newest(desk))["sources"]
    assert (source["kind"], source["card"]["id"], source["card"]["split_from"]) == (
        "recall", part["id"], [first["id"], card_id],
    )  # fmt: skip
    assert source["order"] == {"order_id": "ord_1", "line_id": "lin_ord_1"}


def test_a_claimant_sees_the_card_and_its_issuer_but_not_the_order(desk):
    card_id, _, _ = desk.buy_card()
    part, _ = desk.split(card_id, 200, 100)["cards"]
    desk.claim(*desk.mailed(part["id"]))
    entry = newest(desk, desk.bolt)
    [source] = trace(desk, entry, desk.bolt)["sources"]
    assert (source["card"]["issuer"], source["order"]) == ({"id": "org_acme", "name": "Acme"}, None)
    assert source["card"]["split_from"] == []
    [shown] = trace(desk, entry, desk.support, any_organization=True)["sources"]
    assert shown["order"] == {"order_id": "ord_1", "line_id": "lin_ord_1"}


def test_only_ones_own_entries_can_be_traced(desk, line):
    desk.pay(line("lin_a", credits=20))
    _, _number, _code = desk.buy_card(order_id="ord_2")
    entry = newest(desk)
    assert code_of(lambda: trace(desk, entry, desk.bolt)) == "not_found"
    assert code_of(lambda: trace(desk, "ltx_none", desk.bolt)) == "not_found"
    assert code_of(lambda: trace(desk, entry, desk.support)) == "not_found"
    assert code_of(lambda: trace(desk, entry, desk.acme, any_organization=True)) == "forbidden"


def test_an_expiry_says_what_has_expired(desk, line):
    desk.grant(10, expires_at=desk.clock.now() + timedelta(days=1))
    desk.pay(line("lin_a", credits=20))
    desk.clock.advance(days=1)
    desk.spend(1)
    items = list_entries(desk.app, desk.acme, limit=10, cursor=None)["items"]
    expiry = next(item for item in items if item["kind"] == "expiry")
    [source] = trace(desk, expiry["id"])["sources"]
    assert (source["kind"], source["credits"], source["free"]) == ("grant", -10, True)


def test_the_statement_of_some_days(desk, line):
    desk.pay(line("lin_a", credits=20))
    first = desk.clock.now()
    desk.clock.advance(days=1)
    desk.spend(1)
    second = desk.clock.now()
    desk.clock.advance(days=1)
    desk.spend(2, cause="ticket-2")

    def amounts(**days) -> list[int]:
        return [entry["amount"] for entry in list_entries(desk.app, desk.acme, limit=10, cursor=None, **days)["items"]]

    assert amounts() == [-2, -1, 20]
    assert amounts(since=second) == [-2, -1]
    assert amounts(until=second) == [20]
    assert amounts(since=first, until=second + timedelta(seconds=1)) == [-1, 20]
