"""Holds: reserved, raised, settled, given back; each once, and never more than there is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chassis.testing import identity
from credits.domain.drawing import Lot
from credits.domain.holds import HeldLot, divide
from credits.storage import ledger
from credits.storage.tables import CREDIT_HOLD, LEDGER_TRANSACTION, LOT_USE
from credits.use_cases.expire_credits import expire_credits
from credits.use_cases.get_balance import get_balance
from credits.use_cases.hold_credits import hold_credits, raise_hold
from credits.use_cases.hold_facts import hold_facts
from credits.use_cases.list_entries import list_entries
from credits.use_cases.order_facts import order_facts
from credits.use_cases.reconcile import credit_totals, reconcile
from credits.use_cases.settle_hold import give_back_hold, settle_hold
from kernel.errors import Refusal

ACCOUNT = "organization:org_acme"
MEMO = "Ticket T-1001"


def hold(desk, credits: int, cause: str = "tkt_1/1", caller=None):
    return hold_credits(
        desk.app, caller, organization_id="org_acme", cause=cause, credits=credits, memo=MEMO
    )  # fmt: skip


def settle(desk, spent: int, cause: str = "tkt_1/1", caller=None):
    return settle_hold(desk.app, caller, cause=cause, spent=spent)


def give_back(desk, cause: str = "tkt_1/1", caller=None):
    return give_back_hold(desk.app, caller, cause=cause, memo="A defect")


def refused(call) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def left(desk) -> list[int]:
    """What is left of each lot, oldest first."""
    with desk.database.reading() as reader:
        return [lot.left for lot in sorted(ledger.lots(reader, ACCOUNT, open_only=False), key=lambda lot: lot.sequence)]


def entries(desk) -> list[tuple[str, int, int]]:
    """The statement, oldest first."""
    items = list_entries(desk.app, desk.acme, limit=100, cursor=None)["items"]
    return [(entry["kind"], entry["amount"], entry["balance_after"]) for entry in reversed(items)]


def all_is_well(desk) -> bool:
    totals = credit_totals(desk.app)
    brought = totals["brought"] + totals["given"]
    parts = ("on_organizations", "on_cards", "on_hold", "spent", "expired", "taken_back", "taken_off")
    assert sum(totals[name] for name in parts) == brought
    return reconcile(desk.app) == []


def test_what_expires_first_is_spent_of_a_hold(clock):
    soon = clock.now() + timedelta(days=1)
    held = [HeldLot(Lot("a", 1, 50, 20), "ord_1"), HeldLot(Lot("b", 2, 50, 30, soon), None)]
    assert divide(held, 40) == ({"b": 30, "a": 10}, {"a": 10})
    assert divide(held, 0) == ({}, {"b": 30, "a": 20})
    assert divide(held, 50) == ({"b": 30, "a": 20}, {})
    with pytest.raises(ValueError, match="not so many"):
        divide(held, 51)


def test_held_credits_are_off_the_balance_and_what_is_not_used_goes_back_to_its_lots(desk, line):
    desk.pay(line("lin_a", credits=40), order_id="ord_a")
    desk.pay(line("lin_b", credits=100), order_id="ord_b")

    held = hold(desk, 60)
    assert (held["state"], held["credits"], held["balance"]) == ("held", 60, 80)
    found = get_balance(desk.app, desk.acme)
    assert (found["balance"], found["held"]) == (80, 60)
    assert left(desk) == [0, 80]
    assert all_is_well(desk)
    assert desk.spend(80)["balance"] == 0, "the rest can be used, and nothing of the hold"

    settled = settle(desk, 45)
    assert (settled["state"], settled["spent"], settled["balance"]) == ("settled", 45, 15)
    assert left(desk) == [0, 15]
    assert entries(desk)[2:] == [("hold", -60, 80), ("spend", -80, 0), ("release", 15, 15)]
    assert get_balance(desk.app, desk.acme)["held"] == 0
    assert credit_totals(desk.app)["spent"] == 125
    assert all_is_well(desk)


def test_all_of_a_hold_may_be_spent_or_released(desk, line):
    desk.pay(line("lin_a", credits=100))
    hold(desk, 60)
    hold(desk, 40, cause="tkt_2/1")
    assert settle(desk, 60)["balance"] == 0
    assert settle(desk, 0, cause="tkt_2/1")["balance"] == 40
    assert left(desk) == [40]
    assert all_is_well(desk)


def test_a_raised_hold_settles_as_one(desk, line):
    desk.pay(line("lin_a", credits=100))
    hold(desk, 60)
    assert raise_hold(desk.app, None, cause="tkt_1/1", raise_cause="ovr_1", credits=30)["credits"] == 90
    assert raise_hold(desk.app, None, cause="tkt_1/1", raise_cause="ovr_1", credits=30)["balance"] == 10
    over = refused(lambda: raise_hold(desk.app, None, cause="tkt_1/1", raise_cause="ovr_2", credits=11))
    assert (over.code, over.extra) == ("insufficient_credits", {"balance": 10})
    assert settle(desk, 75)["balance"] == 25
    late = refused(lambda: raise_hold(desk.app, None, cause="tkt_1/1", raise_cause="ovr_2", credits=1))
    assert late.code == "hold_settled"
    assert all_is_well(desk)


def test_asked_again_each_step_is_done_once(desk, line):
    desk.pay(line("lin_a", credits=100))
    assert hold(desk, 60) == hold(desk, 60)
    assert settle(desk, 45) == settle(desk, 45)
    assert hold(desk, 60)["state"] == "settled"
    assert refused(lambda: settle(desk, 46)).code == "hold_settled"
    assert give_back(desk) == give_back(desk)
    assert desk.balance() == 100
    names = ("hold_placed", "hold_settled", "hold_given_back")
    assert [len(desk.events(f"credits.{name}.v1")) for name in names] == [1, 1, 1]
    assert all_is_well(desk)


def test_what_cannot_be(desk, line):
    desk.pay(line("lin_a", credits=100))
    over = refused(lambda: hold(desk, 101))
    assert (over.code, over.extra) == ("insufficient_credits", {"balance": 100})
    assert refused(lambda: settle(desk, 1)).code == "not_found", "the refused hold left no trace"
    hold(desk, 60)
    assert refused(lambda: settle(desk, 61)).extra == {"credits": 60}
    assert refused(lambda: give_back(desk)).code == "hold_not_settled"
    foreign = refused(
        lambda: hold_credits(desk.app, None, organization_id="org_bolt", cause="tkt_1/1", credits=1, memo=MEMO)
    )
    assert foreign.code == "hold_differs"
    assert desk.balance() == 40


def test_whose_credits_may_be_held_by_whom(desk, line):
    desk.pay(line("lin_a", credits=100))
    for caller in (desk.bolt, identity("viewer"), desk.finance):
        assert refused(lambda caller=caller: hold(desk, 1, caller=caller)).code == "forbidden"
    hold(desk, 60, caller=identity("ticket"))
    assert refused(lambda: settle(desk, 60, caller=desk.bolt)).code == "forbidden"
    settle(desk, 60, caller=desk.support)
    assert refused(lambda: give_back(desk, caller=desk.acme)).code == "forbidden"
    assert give_back(desk, caller=desk.support)["given_back"] == 60


def test_given_back_credits_are_in_their_lots_again(desk, line):
    desk.pay(line("lin_a", credits=40), order_id="ord_a")
    desk.pay(line("lin_b", credits=100), order_id="ord_b")
    hold(desk, 60)
    settle(desk, 45)
    assert left(desk) == [0, 95]
    assert give_back(desk)["balance"] == 140
    assert left(desk) == [40, 100]
    assert entries(desk)[-1] == ("give_back", 45, 140)
    facts = order_facts(desk.app, desk.finance, limit=10, cursor=None)["items"]
    assert {fact["order_id"]: fact["with_buyer"] for fact in facts} == {"ord_a": 40, "ord_b": 100}
    assert all_is_well(desk)


def test_a_hold_outlives_the_time_of_its_credits_but_what_it_returns_does_not(desk, clock):
    desk.grant(100, expires_at=clock.now() + timedelta(days=1))
    hold(desk, 60)
    clock.advance(days=2)
    expire_credits(desk.app)
    assert (desk.balance(), credit_totals(desk.app)["expired"]) == (0, 40)

    assert settle(desk, 45)["balance"] == 0
    expire_credits(desk.app)

    assert (credit_totals(desk.app)["expired"], credit_totals(desk.app)["spent"]) == (55, 45)
    assert all_is_well(desk)


def test_given_back_after_their_time_they_come_anew(desk, clock):
    desk.app.credits_valid_days = 30
    desk.grant(50, expires_at=clock.now() + timedelta(days=1))
    desk.adjust(100)
    hold(desk, 60)
    settle(desk, 60)
    clock.advance(days=2)
    assert give_back(desk)["balance"] == 150
    expiries = {item["expires_at"]: item["credits"] for item in get_balance(desk.app, desk.acme)["expiries"]}
    assert expiries == {clock.now() + timedelta(days=30): 50, None: 100}
    assert all_is_well(desk)


def test_credits_of_an_order_that_was_refunded_meanwhile_do_not_come_back(desk, line):
    desk.pay(line("lin_a", credits=100))
    hold(desk, 60)
    in_use = refused(lambda: desk.take_back())
    assert (in_use.code, in_use.extra["spent"]) == ("credits_in_use", 60)
    assert desk.take_back(claimed="refund_anyway")["taken_back"] == 40

    assert settle(desk, 45)["balance"] == 0
    assert give_back(desk)["given_back"] == 0

    assert (desk.balance(), credit_totals(desk.app)["taken_off"]) == (0, 15)
    assert order_facts(desk.app, desk.finance, limit=10, cursor=None)["items"][0]["with_buyer"] == 0
    assert all_is_well(desk)


def test_what_the_database_refuses_about_holds(desk, line):
    desk.pay(line("lin_a", credits=100), order_id="ord_a")
    desk.pay(line("lin_b", credits=100), order_id="ord_b")
    hold(desk, 60)
    settle(desk, 45)
    with desk.database.reading() as reader:
        posted = {row["kind"]: row["id"] for row in reader.all(sa.select(LEDGER_TRANSACTION))}
        lots = [lot.id for lot in ledger.lots(reader, ACCOUNT, open_only=False)]
    held = {"cause": "x", "source": ACCOUNT, "destination": ledger.USAGE, "amount": 1, "memo": "x"}
    wrong = [
        sa.insert(LOT_USE).values(lot_id=lots[1], transaction_id=posted["release"], amount=-1),  # was never used
        sa.insert(LOT_USE).values(lot_id=lots[0], transaction_id=posted["grant"], amount=-1),  # is no return
        sa.insert(LOT_USE).values(lot_id=lots[0], transaction_id=posted["spend"], amount=-1),  # goes elsewhere
        sa.insert(LOT_USE).values(lot_id=posted["release"], transaction_id=posted["hold"], amount=1),  # is no lot
        sa.insert(LOT_USE).values(lot_id=lots[1], transaction_id=posted["hold"], amount=0),
        sa.update(CREDIT_HOLD).values(cause="other"),
        sa.update(CREDIT_HOLD).values(organization_id="org_bolt"),
        sa.update(CREDIT_HOLD).values(spent=61),
        sa.update(CREDIT_HOLD).values(given_back=46),
        sa.update(CREDIT_HOLD).values(given_back=1),
        sa.delete(CREDIT_HOLD),
    ]
    for statement in wrong:
        with pytest.raises(sa.exc.IntegrityError), desk.database.transaction() as tx:
            tx.execute(statement)
    with pytest.raises(sa.exc.IntegrityError), desk.database.transaction() as tx:
        ledger.post(tx, "spend", **{**held, "source": ledger.hold_account(str(first_hold(desk)))})  # it is empty
    assert all_is_well(desk)


def first_hold(desk) -> str:
    with desk.database.reading() as reader:
        return str(reader.scalar(sa.select(CREDIT_HOLD.c.id)))


def outcome(call) -> str:
    try:
        return str(call()["state"])
    except Refusal as refusal:
        return refusal.code


def test_parallel_holds_never_exceed_the_balance(postgres_desk, line):
    desk = postgres_desk
    desk.pay(line("lin_a", credits=60), order_id="ord_a")
    desk.pay(line("lin_b", credits=40), order_id="ord_b")
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda number: outcome(lambda: hold(desk, 30, cause=f"tkt_{number}/1")), range(20)))
    assert sorted(found) == ["held"] * 3 + ["insufficient_credits"] * 17
    assert (desk.balance(), get_balance(desk.app, desk.acme)["held"]) == (10, 90)
    assert all_is_well(desk)


def test_one_cause_is_held_and_settled_once_by_many_at_once(postgres_desk, line):
    desk = postgres_desk
    desk.pay(line("lin_a", credits=100))
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda _: outcome(lambda: hold(desk, 60)), range(16))) == {"held"}
        assert desk.balance() == 40
        found = list(threads.map(lambda spent: outcome(lambda: settle(desk, 40 + spent % 2)), range(16)))
    assert sorted(found) == ["hold_settled"] * 8 + ["settled"] * 8
    assert desk.balance() in (60, 59)
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda _: outcome(lambda: give_back(desk)), range(16))) == {"settled"}
    assert desk.balance() == 100
    assert all_is_well(desk)


def test_holds_spends_and_settlements_at_once_keep_every_credit(postgres_desk, line):
    desk = postgres_desk
    for number in range(4):
        desk.pay(line(f"lin_{number}", credits=50), order_id=f"ord_{number}")

    def work(number: int) -> None:
        if outcome(lambda: hold(desk, 20, cause=f"tkt_{number}/1")) == "held":
            settle(desk, number % 21, cause=f"tkt_{number}/1")
            if number % 3 == 0:
                give_back(desk, cause=f"tkt_{number}/1")
        outcome(lambda: {**desk.spend(3, cause=f"other-{number}"), "state": "spent"})

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(24)))
    assert get_balance(desk.app, desk.acme)["held"] == 0
    assert all_is_well(desk)


def test_what_every_hold_has_is_for_staff(desk, line):
    desk.pay(line("lin_a", credits=100))
    hold(desk, 60)
    hold(desk, 10, cause="tkt_2/1")
    settle(desk, 45)
    give_back(desk)
    page = hold_facts(desk.app, desk.support, limit=1, cursor=None)
    rest = hold_facts(desk.app, desk.support, limit=5, cursor=page["next"])
    assert page["items"] + rest["items"] == [
        {"cause": "tkt_2/1", "held": 10, "spent": 0, "given_back": 0},
        {"cause": "tkt_1/1", "held": 0, "spent": 45, "given_back": 45},
    ]
    assert refused(lambda: hold_facts(desk.app, desk.acme, limit=1, cursor=None)).code == "forbidden"
