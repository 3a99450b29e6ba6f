"""Credits that expire, in which order they are used, and what staff give and put right."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chassis.testing import identity
from credits.domain.drawing import Lot, spending_order
from credits.storage import ledger
from credits.storage.tables import LOT_USE
from credits.use_cases.adjust_credits import adjust_credits
from credits.use_cases.expire_credits import expire_credits
from credits.use_cases.get_balance import get_balance
from credits.use_cases.grant_credits import grant_credits
from credits.use_cases.list_entries import list_entries
from credits.use_cases.order_facts import order_facts
from credits.use_cases.reconcile import credit_totals, reconcile
from kernel.errors import Refusal

ACCOUNT = "organization:org_acme"


def code_of(call) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def outcome(call) -> str:
    try:
        return str(call()["balance"])
    except Refusal as refusal:
        return refusal.code


def entries(desk) -> list[tuple[str, int, int]]:
    """The statement, oldest first."""
    items = list_entries(desk.app, desk.acme, limit=100, cursor=None)["items"]
    return [(entry["kind"], entry["amount"], entry["balance_after"]) for entry in reversed(items)]


def expiries(desk) -> list[tuple[int | None, int]]:
    """The balance by the days after which it expires."""
    found = get_balance(desk.app, desk.acme)["expiries"]
    return [
        ((item["expires_at"] - desk.clock.now()).days if item["expires_at"] else None, item["credits"])
        for item in found
    ]


def test_the_order_of_spending(desk):
    now = desk.clock.now()
    soon, late = now + timedelta(days=1), now + timedelta(days=9)
    lots = [
        Lot("bought", 1, 5, 5), Lot("free", 2, 5, 5, free=True), Lot("bought later", 3, 5, 5),
        Lot("late", 4, 5, 5, late), Lot("soon", 5, 5, 5, soon), Lot("soon and free", 6, 5, 5, soon, free=True),
    ]  # fmt: skip
    assert [lot.id for lot in spending_order(lots)] == [
        "soon and free", "soon", "late", "free", "bought", "bought later",
    ]  # fmt: skip


def test_what_expires_first_is_spent_first_then_what_was_free_then_the_oldest(desk, line):
    desk.app.credits_valid_days = 90
    desk.pay(
        line("lin_a", credits=100, credits_valid_days=0), line("lin_b", credits=20, credits_valid_days=60),
        line("lin_c", credits=50, credits_valid_days=30),
    )  # fmt: skip
    desk.app.credits_valid_days = 0
    desk.grant(10)
    desk.grant(5, expires_at=desk.clock.now() + timedelta(days=30))
    assert expiries(desk) == [(30, 55), (60, 20), (None, 110)]
    desk.spend(4)
    assert expiries(desk) == [(30, 51), (60, 20), (None, 110)]
    desk.spend(51 + 20 + 10, cause="ticket-2")  # the free ones before the bought
    assert expiries(desk) == [(None, 100)]
    became = order_facts(desk.app, desk.support, limit=100, cursor=None)["items"]
    assert sorted((item["credits"], item["with_buyer"]) for item in became) == [(20, 0), (50, 0), (100, 100)]
    assert reconcile(desk.app) == []


def test_what_has_expired_is_not_spent_before_or_after_the_sweep(desk, line):
    desk.pay(line("lin_a", credits=100), line("lin_b", credits=50, credits_valid_days=30))
    desk.spend(20)
    desk.clock.advance(days=30)
    assert (desk.balance(), expiries(desk)) == (100, [(None, 100)])
    with pytest.raises(Refusal) as refused:
        desk.spend(101, cause="ticket-2")
    assert (refused.value.code, refused.value.extra) == ("insufficient_credits", {"balance": 100})
    assert entries(desk)[-1] == ("spend", -20, 130)  # a refusal posts nothing
    assert desk.spend(1, cause="ticket-2")["balance"] == 99
    assert entries(desk)[-2:] == [("expiry", -30, 100), ("spend", -1, 99)]
    assert expire_credits(desk.app) == 0
    assert credit_totals(desk.app)["expired"] == 30
    assert reconcile(desk.app) == []


def test_the_sweep_posts_an_expiry_once(desk, line):
    desk.app.credits_valid_days = 30
    desk.pay(line("lin_a", credits=100), line("lin_b", credits=50))
    _, number, code = desk.buy_card(order_id="ord_2")
    desk.claim(number, code)
    assert expire_credits(desk.app) == 0
    desk.clock.advance(days=30)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: expire_credits(desk.app), range(4)))
    assert entries(desk)[-2:] == [("expiry", -100, 50), ("expiry", -50, 0)]
    assert (desk.balance(), desk.balance(desk.bolt)) == (0, 0)
    assert credit_totals(desk.app)["expired"] == 450
    assert expire_credits(desk.app) == 0
    assert reconcile(desk.app) == []


def test_the_days_of_a_card_count_from_its_claim_as_they_were_when_it_was_issued(desk):
    desk.app.credits_valid_days = 30
    _, number, code = desk.buy_card()
    recalled, _, _ = desk.buy_card(order_id="ord_2")
    desk.app.credits_valid_days = 0
    desk.clock.advance(days=100)
    desk.claim(number, code, caller=desk.acme)
    desk.recall(recalled)
    assert expiries(desk) == [(30, 600)]


def test_expired_credits_stand_in_the_way_of_no_refund(desk, line):
    desk.pay(line("lin_a", credits=100), line("lin_b", credits=50, credits_valid_days=30))
    desk.clock.advance(days=30)
    reply = desk.take_back()
    assert (reply["taken_back"], reply["expired"], reply["spent"]) == (100, 50, 0)
    assert desk.balance() == 0
    assert reconcile(desk.app) == []


def test_a_balance_of_many_lots_is_never_overdrawn(postgres_desk, line):
    """Fifty at once, some lots of which expire: each credit goes once, the last ones last."""
    desk = postgres_desk
    desk.pay(
        line("lin_a", credits=3, credits_valid_days=1), line("lin_b", credits=4, credits_valid_days=2),
        line("lin_c", credits=5),
    )  # fmt: skip
    with ThreadPoolExecutor(50) as threads:
        outcomes = sorted(
            threads.map(lambda n: outcome(lambda: desk.spend(3, cause=f"t-{n}", key=f"s-{n}")), range(50))
        )
    assert outcomes == ["0", "3", "6", "9"] + ["insufficient_credits"] * 46
    assert reconcile(desk.app) == []


def test_spends_and_the_sweep_at_the_last_moment_share_nothing(postgres_desk, line):
    desk = postgres_desk
    desk.pay(line("lin_a", credits=30, credits_valid_days=1), line("lin_b", credits=10))
    desk.clock.advance(days=1)
    with ThreadPoolExecutor(8) as threads:
        spends = [threads.submit(outcome, lambda n=n: desk.spend(3, cause=f"t-{n}", key=f"s-{n}")) for n in range(6)]
        sweeps = [threads.submit(expire_credits, desk.app) for _ in range(4)]
    assert sorted(done.result() for done in spends) == ["1", "4", "7"] + ["insufficient_credits"] * 3
    assert [done.exception() for done in sweeps] == [None] * 4
    totals = credit_totals(desk.app)
    assert (totals["spent"], totals["expired"], totals["on_organizations"]) == (9, 30, 1)
    assert reconcile(desk.app) == []


@pytest.mark.parametrize(
    ("days", "kind", "destination"),
    [(30, "spend", ledger.USAGE), (30, "adjustment", ledger.ISSUANCE), (29, "expiry", ledger.EXPIRY)],
)
def test_the_database_lets_no_lot_be_used_at_the_wrong_time(desk, line, days, kind, destination):
    desk.app.credits_valid_days = 30
    desk.pay(line("lin_a", credits=100))
    desk.clock.advance(days=days)
    with pytest.raises(sa.exc.DBAPIError), desk.database.transaction() as tx:
        [lot] = ledger.lots(tx, ACCOUNT)
        posted = ledger.post(tx, kind, cause="c", source=ACCOUNT, destination=destination, amount=1, memo="")
        ledger.use_lots(tx, posted, {lot.id: 1})
    assert desk.dump(LOT_USE) == {"lot_use": []}


def test_staff_give_credits_once_for_a_key(desk):
    first = desk.grant(60, key="k")
    assert (first["credits"], first["balance"], first["expires_at"], first["replayed"]) == (60, 60, None, False)
    assert desk.grant(60, key="k") == {**first, "replayed": True}
    assert code_of(lambda: desk.grant(61, key="k")) == "idempotency_key_reused"
    newest = list_entries(desk.app, desk.acme, limit=1, cursor=None)["items"][0]
    assert (newest["id"], newest["kind"], newest["memo"]) == (first["id"], "grant", "Sorry")
    assert credit_totals(desk.app) == {
        "brought": 0, "given": 60, "on_organizations": 60, "on_cards": 0, "spent": 0, "expired": 0, "taken_back": 0,
        "taken_off": 0, "on_hold": 0,
    }  # fmt: skip
    assert order_facts(desk.app, desk.support, limit=10, cursor=None)["items"] == []


def test_nothing_is_given_to_an_organization_that_there_is_not(desk):
    for give in (grant_credits, adjust_credits):
        more = {"expires_at": None} if give is grant_credits else {}
        with pytest.raises(Refusal) as refused:
            give(
                desk.app, desk.finance, idempotency_key="k", organization_id="org_acne", credits=5, reason="Sorry",
                **more,
            )  # fmt: skip
        assert refused.value.code == "not_found"
    assert credit_totals(desk.app)["on_organizations"] == 0


def test_given_credits_expire_as_asked_or_as_the_setting_says(desk):
    desk.app.credits_valid_days = 90
    now = desk.clock.now()
    assert desk.grant(1)["expires_at"] == now + timedelta(days=90)
    assert desk.grant(1, expires_at=now + timedelta(days=5))["expires_at"] == now + timedelta(days=5)
    assert code_of(lambda: desk.grant(1, expires_at=now)) == "expiry_is_past"


def test_staff_put_a_balance_right_but_not_below_zero(desk, line):
    desk.pay(line("lin_a", credits=100))
    assert desk.adjust(20)["balance"] == 120
    taken = desk.adjust(-30, key="k")
    assert (taken["credits"], taken["balance"]) == (-30, 90)
    assert desk.adjust(-30, key="k") == {**taken, "replayed": True}
    with pytest.raises(Refusal) as refused:
        desk.adjust(-91)
    assert (refused.value.code, refused.value.extra) == ("insufficient_credits", {"balance": 90})
    assert code_of(lambda: desk.adjust(-1, organization_id="org_bolt")) == "insufficient_credits"
    assert entries(desk) == [("grant", 100, 100), ("adjustment", 20, 120), ("adjustment", -30, 90)]
    totals = credit_totals(desk.app)
    assert (totals["given"], totals["taken_off"], totals["on_organizations"]) == (20, 30, 90)
    assert reconcile(desk.app) == []


@pytest.mark.parametrize("role", ["ticket", "viewer", "buyer", "admin", "support"])
def test_only_finance_gives_and_adjusts(desk, role):
    assert code_of(lambda: desk.grant(1, caller=identity(role))) == "forbidden"
    assert code_of(lambda: desk.adjust(1, caller=identity(role))) == "forbidden"
