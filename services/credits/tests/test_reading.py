"""Balance, statement, cards: what one organisation sees, and what another does not."""

from __future__ import annotations

import pytest

from chassis.persistence.paging import encode_cursor
from chassis.testing import identity
from credits.domain import codes
from credits.use_cases.cards_of_orders import cards_of_orders
from credits.use_cases.get_balance import get_balance
from credits.use_cases.get_card import get_card
from credits.use_cases.list_cards import list_cards
from credits.use_cases.list_entries import list_entries
from kernel.errors import Refusal

CARL = identity("admin", organization_id="org_carl", organization="Carl")


def entries(desk, caller, limit=20, cursor=None):
    return list_entries(desk.app, caller, limit=limit, cursor=cursor)


def cards(desk, caller, role, limit=20, cursor=None):
    return list_cards(desk.app, caller, role=role, limit=limit, cursor=cursor)


def test_nobody_starts_with_anything(desk):
    assert get_balance(desk.app, CARL)["balance"] == 0
    assert entries(desk, CARL) == {"items": [], "next": None}
    assert cards(desk, CARL, "issuer") == cards(desk, CARL, "claimant") == {"items": [], "next": None}


def test_the_statement_tells_how_the_balance_came_about(desk, line):
    desk.pay(line("lin_a", credits=120, quantity=2))
    card_id, number, code = desk.buy_card(order_id="ord_2")
    desk.claim(number, code, desk.acme)
    claim, grant = entries(desk, desk.acme)["items"]
    common = ("kind", "amount", "balance_after", "memo", "occurred_at", "order_id", "card_id")
    now = desk.clock.now()
    assert [claim[name] for name in common] == [
        "claim", 300, 540, f"Card {codes.masked(number)} claimed", now, None, card_id,
    ]  # fmt: skip
    assert [grant[name] for name in common] == [
        "grant", 240, 240, "2 x 120 credits, order O-1001", now, "ord_1", None,
    ]  # fmt: skip
    assert claim["id"] != grant["id"]
    assert entries(desk, CARL)["items"] == []


def test_the_statement_comes_in_pages(desk, line):
    for n in range(1, 12):
        desk.pay(line(f"lin_{n}", credits=n), order_id=f"ord_{n}")
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        reply = entries(desk, desk.acme, 4, cursor)
        seen += [entry["amount"] for entry in reply["items"]]
        cursor, pages = reply["next"], pages + 1
    assert seen == list(range(11, 0, -1))
    assert pages == 3


@pytest.mark.parametrize("inside", ["", "x", "-1", "1.0", "9" * 19, "\u0663", "1'"])
def test_a_made_up_cursor_is_refused(desk, inside):
    with pytest.raises(Refusal) as refused:
        entries(desk, desk.acme, 4, encode_cursor(inside))
    assert refused.value.code == "invalid_cursor"


#: What a claimant does not learn, beside the order.
_ISSUERS_AFFAIR = ("bound_to", "frozen_by", "split_from")


def test_the_issuer_sees_who_claimed_and_the_claimant_what(desk):
    card_id, number, code = desk.buy_card()
    waiting, _, _ = desk.buy_card(order_id="ord_2")
    desk.claim(number, code)
    issued = {card["id"]: card for card in cards(desk, desk.acme, "issuer")["items"]}
    assert set(issued) == {card_id, waiting}
    assert issued[waiting]["state"] == "issued"
    assert issued[waiting]["claimant"] is None
    assert issued[card_id]["state"] == "claimed"
    assert issued[card_id]["claimant"] == {"id": "org_bolt", "name": "Bolt"}
    assert issued[card_id]["order_id"] == "ord_1"
    [claimed] = cards(desk, desk.bolt, "claimant")["items"]
    shown = {name: value for name, value in issued[card_id].items() if name not in _ISSUERS_AFFAIR}
    assert claimed == {**shown, "order_id": None}
    assert cards(desk, desk.acme, "claimant")["items"] == []
    assert cards(desk, desk.bolt, "issuer")["items"] == []
    assert number not in repr(issued)
    assert get_card(desk.app, desk.acme, card_id=card_id) == issued[card_id]
    assert get_card(desk.app, desk.bolt, card_id=card_id) == claimed


def test_cards_come_in_pages(desk):
    made = {desk.buy_card(order_id=f"ord_{n}")[0] for n in range(5)}
    first = cards(desk, desk.acme, "issuer", 3)
    second = cards(desk, desk.acme, "issuer", 3, first["next"])
    ids = [card["id"] for card in first["items"] + second["items"]]
    assert ids == sorted(made, reverse=True)
    assert second["next"] is None


def test_an_expired_card_is_shown_as_expired(desk):
    card_id, _, _ = desk.buy_card()
    desk.clock.advance(days=365)
    assert get_card(desk.app, desk.acme, card_id=card_id)["state"] == "expired"


def test_another_organisations_card_is_like_none(desk):
    card_id, _, _ = desk.buy_card()
    answers = []
    for caller, asked in ((CARL, card_id), (CARL, "scc_none"), (desk.bolt, card_id)):
        with pytest.raises(Refusal) as refused:
            get_card(desk.app, caller, card_id=asked)
        answers.append(refused.value.as_dict())
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["code"] == "not_found"


def test_cards_of_orders_are_the_callers_only(desk, line):
    desk.pay(line("lin_a", quantity=2, to="support_card"), line("lin_b", credits=10))
    desk.pay(line("lin_c"), order_id="ord_2")
    mine = cards_of_orders(desk.app, desk.acme, order_ids=["ord_2", "ord_1", "ord_none"])["items"]
    assert [(item["order_id"], len(item["cards"])) for item in mine] == [("ord_2", 0), ("ord_1", 2), ("ord_none", 0)]
    assert set(mine[1]["cards"][0]) == {"id", "number_masked", "state"}
    assert mine[1]["cards"][0]["state"] == "issued"
    theirs = cards_of_orders(desk.app, CARL, order_ids=["ord_1", "ord_none"])["items"]
    assert theirs == [{"order_id": "ord_1", "cards": []}, {"order_id": "ord_none", "cards": []}]
