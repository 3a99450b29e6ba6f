"""What a paid order does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from marshmallow import ValidationError

from chassis.testing import emitted
from credits.domain import codes
from credits.messages import OrderPaid
from credits.storage.tables import LEDGER_TRANSACTION, SUPPORT_CARD
from credits.use_cases.credit_order import credit_orders
from credits.use_cases.get_balance import get_balance
from credits.use_cases.reconcile import reconcile


def count(desk, table: sa.Table) -> int:
    with desk.database.reading() as reader:
        return reader.scalar(sa.select(sa.func.count()).select_from(table))


def test_a_mixed_order_is_credited_in_one_go(desk, line):
    desk.pay(
        line("lin_a", credits=120, quantity=2),
        line("lin_b", credits=300, quantity=3, to="support_card"),
        line("lin_c", credits=0, to=None),
    )
    assert get_balance(desk.app, desk.acme) == {
        "balance": 240, "unit": "credit", "minutes_per_credit": 1, "held": 0,
        "expiries": [{"expires_at": None, "credits": 240}],
    }  # fmt: skip
    cards = desk.events("credits.card_issued.v1")
    assert len({card["number"] for card in cards}) == len({card["card_id"] for card in cards}) == 3
    assert {card["credits"] for card in cards} == {300}
    [credited] = desk.events("credits.order_credited.v1")
    assert credited["order_id"] == "ord_1"
    assert credited["line_ids"] == ["lin_a", "lin_b"]
    assert credited["grants"] == [{"line_id": "lin_a", "credits": 240}]
    assert {(card["card_id"], card["line_id"], card["number_masked"]) for card in credited["cards"]} == {
        (card["card_id"], "lin_b", codes.masked(card["number"])) for card in cards
    }
    assert reconcile(desk.app) == []


def test_a_card_event_has_all_that_its_mail_needs(desk, clock):
    card_id, number, code = desk.buy_card(credits=600)
    [issued] = desk.events("credits.card_issued.v1")
    assert {**issued, "sealed_code": ""} == {
        "card_id": card_id, "number": number, "sealed_code": "", "credits": 600,
        "expires_at": "2027-11-22T12:00:00.000Z", "order_id": "ord_1", "order_number": "O-1001",
        "buyer": {"user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
        "issuer": {"id": "org_acme", "name": "Acme"},
    }  # fmt: skip
    assert desk.preview(number, code)["credits"] == 600


def test_cards_may_be_valid_for_ever(desk, clock):
    desk.app.card_validity = None
    _, number, code = desk.buy_card()
    assert desk.events("credits.card_issued.v1")[0]["expires_at"] is None
    clock.advance(days=36500)
    assert desk.claim(number, code)["card"]["expires_at"] is None


def test_an_order_without_credits_says_nothing(desk, line):
    desk.pay(line("lin_a", credits=0, to=None))
    assert emitted(desk.database) == []


def test_the_same_event_twice_changes_nothing(desk, line):
    event = desk.order_paid(line("lin_a"), line("lin_b", to="support_card"))
    credit_orders(desk.app, [event])
    before = emitted(desk.database)
    credit_orders(desk.app, [event])
    assert emitted(desk.database) == before
    assert count(desk, SUPPORT_CARD) == 1
    assert get_balance(desk.app, desk.acme)["balance"] == 120


def test_another_event_about_the_same_order_changes_nothing(desk, line):
    for _ in range(2):
        desk.pay(line("lin_a"), line("lin_b", to="support_card"))
    assert len(emitted(desk.database)) == 2
    assert count(desk, SUPPORT_CARD) == 1
    assert get_balance(desk.app, desk.acme)["balance"] == 120


def test_a_line_is_credited_once_even_under_another_order(desk, line):
    desk.pay(line("lin_a"))
    with pytest.raises(sa.exc.IntegrityError):
        desk.pay(line("lin_a"), order_id="ord_2")
    assert get_balance(desk.app, desk.acme)["balance"] == 120
    assert len(desk.events("credits.order_credited.v1")) == 1


@pytest.mark.parametrize("same_event", [True, False])
def test_deliveries_at_once_credit_once(postgres_desk, line, same_event):
    desk = postgres_desk
    lines = [line("lin_a", quantity=2), line("lin_b", quantity=3, to="support_card")]
    events = [desk.order_paid(*lines, event_id="evt_1" if same_event else None) for _ in range(16)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda event: credit_orders(desk.app, [event]), events))
    assert get_balance(desk.app, desk.acme)["balance"] == 240
    assert count(desk, SUPPORT_CARD) == 3
    assert count(desk, LEDGER_TRANSACTION) == 4
    assert len(emitted(desk.database)) == 4
    assert reconcile(desk.app) == []


def test_many_orders_of_one_organisation_at_once_add_up(postgres_desk, line):
    desk = postgres_desk
    events = [desk.order_paid(line(f"lin_{n}", credits=n), order_id=f"ord_{n}") for n in range(1, 41)]
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda event: credit_orders(desk.app, [event]), events))
    assert get_balance(desk.app, desk.acme)["balance"] == sum(range(1, 41))
    assert reconcile(desk.app) == []


@pytest.mark.parametrize(
    "wrong",
    [{"to": None}, {"to": "elsewhere"}, {"quantity": 0}, {"credits": -1}, {"credits": 1.5}, {"quantity": True}],
)
def test_a_malformed_line_is_not_taken(desk, line, wrong):
    with pytest.raises(ValidationError):
        desk.order_paid(line("lin_a", **wrong))


def test_what_credits_does_not_read_may_be_anything(line):
    data = {
        "order_id": "ord_1", "number": "O-1", "organization": {"id": "o", "name": "O", "vat": 3},
        "buyer": {"user_id": "u", "email": "e@x.example", "name": "N", "language": "en"}, "lines": [line("a", new=1)],
        "totals": {"total": "later versions may differ"},
    }  # fmt: skip
    assert OrderPaid().load(data)["lines"][0]["credits"] == 120


def test_a_year_is_counted_from_the_issue(desk, clock):
    clock.advance(days=10)
    desk.buy_card()
    expected = (clock.now() + timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert desk.events("credits.card_issued.v1")[0]["expires_at"] == expected
