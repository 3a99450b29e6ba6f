"""Spending: once for each cause, from the oldest credits, never more than there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from chassis.testing import identity
from credits.domain.drawing import Lot, draw
from credits.storage import ledger
from credits.storage.tables import LOT_USE
from credits.use_cases.list_entries import list_entries
from credits.use_cases.reconcile import credit_totals, reconcile
from kernel.errors import Refusal

ACCOUNT = "organization:org_acme"


def code_of(call) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def left(desk) -> list[int]:
    """What is left of each lot, oldest first."""
    with desk.database.reading() as reader:
        return [lot.left for lot in ledger.lots(reader, ACCOUNT, open_only=False)]


def test_spending_takes_the_oldest_credits_first_and_says_what_is_left(desk, line):
    desk.pay(line("lin_a", credits=100), order_id="ord_a")
    desk.pay(line("lin_b", credits=50), order_id="ord_b")
    assert desk.spend(30)["balance"] == 120
    assert desk.spend(100, cause="ticket-2") == {
        "id": list_entries(desk.app, desk.acme, limit=1, cursor=None)["items"][0]["id"],
        "organization_id": "org_acme", "credits": 100, "balance": 20, "replayed": False,
    }  # fmt: skip
    assert left(desk) == [0, 20]
    newest = list_entries(desk.app, desk.acme, limit=1, cursor=None)["items"][0]
    assert (newest["kind"], newest["amount"], newest["balance_after"], newest["memo"]) == (
        "spend",
        -100,
        20,
        "Ticket 1",
    )
    assert credit_totals(desk.app) == {
        "brought": 150, "on_organizations": 20, "on_cards": 0, "spent": 130, "expired": 0, "taken_back": 0,
        "given": 0, "taken_off": 0, "on_hold": 0,
    }  # fmt: skip
    assert reconcile(desk.app) == []


def test_no_more_can_be_spent_than_there_is(desk, line):
    desk.pay(line("lin_a", credits=100))
    with pytest.raises(Refusal, match="insufficient_credits") as refused:
        desk.spend(101)
    assert refused.value.extra == {"balance": 100}
    assert desk.spend(100)["balance"] == 0
    assert code_of(lambda: desk.spend(1, cause="ticket-2")) == "insufficient_credits"
    assert code_of(lambda: desk.spend(1, organization_id="org_nobody")) == "insufficient_credits"


def test_a_cause_is_paid_for_once_under_any_key(desk, line):
    desk.pay(line("lin_a", credits=100))
    first = desk.spend(10, key="k")
    assert desk.spend(10, key="k") == {**first, "replayed": True}
    assert code_of(lambda: desk.spend(11, key="k")) == "idempotency_key_reused"
    assert code_of(lambda: desk.spend(10, key="k2")) == "already_spent"
    assert desk.balance() == 90


@pytest.mark.parametrize("role", ["ticket", "viewer", "buyer", "admin", "finance"])
def test_only_support_spends(desk, role):
    assert code_of(lambda: desk.spend(1, caller=identity(role))) == "forbidden"


def test_fifty_spends_of_a_balance_of_ten(desk, line):
    """Each wants three: three get them, exactly one credit stays."""
    desk.pay(line("lin_a", credits=4), order_id="ord_a")
    desk.pay(line("lin_b", credits=6), order_id="ord_b")

    def spend(number: int) -> str:
        try:
            return str(desk.spend(3, cause=f"ticket-{number}", key=f"spend-{number}")["balance"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(50) as threads:
        outcomes = sorted(threads.map(spend, range(50)))
    assert outcomes == ["1", "4", "7"] + ["insufficient_credits"] * 47
    assert (desk.balance(), sum(left(desk))) == (1, 1)
    assert reconcile(desk.app) == []


def test_fifty_spends_for_one_cause(desk, line):
    desk.pay(line("lin_a", credits=100))

    def spend(number: int) -> str:
        try:
            return str(desk.spend(3, key=f"spend-{number}")["balance"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(50) as threads:
        outcomes = sorted(threads.map(spend, range(50)))
    assert outcomes == ["97"] + ["already_spent"] * 49
    assert desk.balance() == 97


@pytest.mark.parametrize(
    "attack",
    [
        "INSERT INTO lot_use VALUES ('{lot}', '{spend}', 91)",  # 90 are left
        "INSERT INTO lot_use VALUES ('{other}', '{spend}', 1)",  # a lot of somebody else
        "INSERT INTO lot_use VALUES ('{lot}', '{spend}', 0)",
        "INSERT INTO lot_use VALUES ('{lot}', '{lot}', 1)",  # what brought them cannot take them
        "INSERT INTO lot_use VALUES ('nothing', '{spend}', 1)",
        "UPDATE lot_use SET amount = 1",
        "DELETE FROM lot_use",
    ],
)
def test_the_database_refuses_wrong_uses(desk, line, attack):
    desk.pay(line("lin_a", credits=100))
    _, number, code = desk.buy_card(order_id="ord_2")
    desk.claim(number, code)
    with desk.database.transaction() as tx:
        [lot] = ledger.lots(tx, ACCOUNT)
        [other] = ledger.lots(tx, "organization:org_bolt")
        spend = ledger.post(
            tx, "spend", cause="c", source=ACCOUNT, destination=ledger.USAGE, amount=10, memo=""
        )  # fmt: skip
        ledger.use_lots(tx, spend, {lot.id: 10})
    untouched = desk.dump(LOT_USE)
    with desk.database.engine.connect() as connection:
        if "VALUES" in attack:  # of another transaction, so that it is not the primary key that refuses
            with desk.database.transaction() as tx:
                spend = ledger.post(
                    tx, "spend", cause="d", source=ACCOUNT, destination=ledger.USAGE, amount=10, memo=""
                )  # fmt: skip
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql(attack.format(lot=lot.id, other=other.id, spend=spend))
        connection.rollback()
    assert desk.dump(LOT_USE) == untouched


def test_reconciling_finds_credits_that_left_without_a_lot(desk, line):
    desk.pay(line("lin_a", credits=100))
    with desk.database.transaction() as tx:
        ledger.post(tx, "spend", cause="c", source=ACCOUNT, destination=ledger.USAGE, amount=10, memo="")
    assert reconcile(desk.app) == [
        {"rule": "credits_leave_by_lots", "subject": ACCOUNT, "expected": 10, "found": 0}
    ]  # fmt: skip


def test_drawing_takes_from_the_first_lots_and_never_too_much():
    lots = [Lot(name, number, 10, left) for number, (name, left) in enumerate(zip("abcd", (0, 3, 5, 9), strict=True))]
    assert draw(0, lots) == {}
    assert draw(3, lots) == {"b": 3}
    assert draw(7, lots) == {"b": 3, "c": 4}
    assert draw(17, lots) == {"b": 3, "c": 5, "d": 9}
    with pytest.raises(ValueError, match="not so many"):
        draw(18, lots)
