"""Taking back what an order brought, which comes before its money is given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.testing import identity
from credits.use_cases.credit_order import credit_orders
from credits.use_cases.expire_cards import expire_cards
from credits.use_cases.list_cards import list_cards
from credits.use_cases.order_facts import order_facts
from credits.use_cases.reconcile import credit_totals, reconcile
from kernel.errors import Refusal


def refusal_of(call) -> Refusal:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value


def became(desk) -> list[tuple[int, int, int]]:
    """What became of everything that orders brought: credits, taken back, still with the buyer; oldest first."""
    items = order_facts(desk.app, desk.support, limit=100, cursor=None)["items"]
    return [(item["credits"], item["taken_back"], item["with_buyer"]) for item in reversed(items)]


def states(desk) -> list[str]:
    return sorted(
        card["state"] for card in list_cards(desk.app, desk.acme, role="issuer", limit=100, cursor=None)["items"]
    )


@pytest.fixture
def order(desk, line):
    """An order with a grant of 100 and two cards of 300, and a grant of another order beside it."""
    desk.pay(line("lin_0", credits=50), order_id="ord_0")
    desk.pay(line("lin_a", credits=100), line("lin_b", credits=300, quantity=2, to="support_card"))
    issued = desk.events("credits.card_issued.v1")
    return [(card["card_id"], card["number"], desk.mails.open(card["sealed_code"])) for card in issued]


def test_everything_that_is_untouched_is_taken_back(desk, order):
    assert desk.take_back() == {
        "refund_id": "rfd_1", "order_id": "ord_1", "taken_back": 700, "claimed": 0, "spent": 0, "expired": 0,
    }  # fmt: skip
    assert (desk.balance(), states(desk)) == (50, ["recalled", "recalled"])
    for _, number, code in order:
        assert refusal_of(lambda number=number, code=code: desk.claim(number, code)).code == "card_not_claimable"
    assert [event["reason"] for event in desk.events("credits.card_recalled.v1")] == ["refund", "refund"]
    assert sorted(became(desk)) == [(50, 0, 50), (100, 100, 0), (300, 300, 0), (300, 300, 0)]
    assert credit_totals(desk.app)["taken_back"] == 700
    assert reconcile(desk.app) == []


def test_asked_again_it_answers_what_it_did(desk, order):
    first = desk.take_back()
    assert desk.take_back() == first
    assert desk.take_back(claimed="refund_anyway") == first
    assert refusal_of(lambda: desk.take_back(refund_id="rfd_2")).code == "already_taken_back"
    assert desk.balance() == 50


def test_what_is_claimed_or_spent_needs_a_decision(desk, order):
    _, number, code = order[0]
    desk.claim(number, code)
    desk.spend(70)  # 50 of the other order, which came first, and 20 of this one
    refused = refusal_of(desk.take_back)
    assert (refused.code, refused.extra) == ("credits_in_use", {"claimed": 300, "spent": 20})
    assert (desk.balance(), states(desk)) == (80, ["claimed", "issued"])
    assert desk.take_back(claimed="refund_anyway") == {
        "refund_id": "rfd_1", "order_id": "ord_1", "taken_back": 380, "claimed": 300, "spent": 20, "expired": 0,
    }  # fmt: skip
    assert (desk.balance(), desk.balance(desk.bolt), states(desk)) == (0, 300, ["claimed", "recalled"])
    assert sorted(became(desk)) == [(50, 0, 0), (100, 80, 0), (300, 0, 0), (300, 300, 0)]
    assert reconcile(desk.app) == []


def test_what_was_recalled_before_is_taken_back_from_the_balance(desk, order):
    desk.recall(order[0][0])
    assert desk.balance() == 450
    assert sorted(became(desk)) == [(50, 0, 50), (100, 0, 100), (300, 0, 300), (300, 0, 300)]
    assert desk.take_back()["taken_back"] == 700
    assert desk.balance() == 50
    assert reconcile(desk.app) == []


def test_what_was_recalled_and_spent_needs_a_decision(desk, order):
    desk.recall(order[0][0])
    desk.spend(160)  # 50 of the other order, 100 of the grant, 10 of the recalled card
    assert refusal_of(desk.take_back).extra == {"claimed": 0, "spent": 110}
    assert desk.take_back(claimed="refund_anyway")["taken_back"] == 590
    assert sorted(became(desk)) == [(50, 0, 0), (100, 0, 0), (300, 290, 0), (300, 300, 0)]


def test_expired_cards_stand_in_the_way_of_no_refund(desk, order):
    desk.clock.advance(days=365)
    expire_cards(desk.app)
    reply = desk.take_back()
    assert (reply["taken_back"], reply["expired"], reply["claimed"]) == (100, 600, 0)
    assert reconcile(desk.app) == []


def test_an_order_without_credits_has_nothing_to_take_back(desk):
    assert desk.take_back(order_id="ord_box")["taken_back"] == 0


def test_its_event_once_more_brings_nothing_back(desk, order, line):
    desk.take_back()
    credit_orders(desk.app, [desk.order_paid(line("lin_a", credits=100))])
    assert desk.balance() == 50


@pytest.mark.parametrize("role", ["ticket", "viewer", "buyer", "admin", "support"])
def test_only_finance_takes_back(desk, order, role):
    assert refusal_of(lambda: desk.take_back(caller=identity(role))).code == "forbidden"
    assert desk.take_back(caller=identity("finance"))["taken_back"] == 700


def outcome(call) -> str:
    try:
        call()
    except Refusal as refusal:
        return refusal.code
    return "done"


def test_a_refund_and_claims_at_once_have_one_winner(desk):
    """Either every card is claimable to the end or none is: never a card claimed and its money back."""
    for round_ in range(8):
        order_id = f"ord_{round_}"
        _, number, code = desk.buy_card(order_id=order_id)
        with ThreadPoolExecutor(4) as threads:
            claims = [
                threads.submit(outcome, lambda number=number, code=code: desk.claim(number, code)) for _ in range(2)
            ]
            refund = threads.submit(
                outcome, lambda order_id=order_id: desk.take_back(order_id, refund_id=f"rfd_{order_id}")
            )
        claimed = sorted(claim.result() for claim in claims)
        assert (claimed, refund.result()) in (
            (["card_not_claimable", "done"], "credits_in_use"),
            (["card_not_claimable", "card_not_claimable"], "done"),
        )
    totals = credit_totals(desk.app)
    assert totals["on_organizations"] + totals["taken_back"] == totals["brought"] == 2400
    assert reconcile(desk.app) == []


def test_a_refund_and_spends_at_once_never_take_the_same_credits(desk, line):
    for round_ in range(5):
        order_id = f"ord_{round_}"
        desk.pay(line(f"lin_{round_}", credits=100), order_id=order_id)
        before = desk.balance()

        def spend(number: int, round_: int = round_) -> str:
            return outcome(lambda: desk.spend(30, cause=f"ticket-{round_}-{number}", key=f"spend-{round_}-{number}"))

        with ThreadPoolExecutor(5) as threads:
            spends = [threads.submit(spend, number) for number in range(4)]
            refund = threads.submit(
                desk.take_back, order_id, "refund_anyway", f"rfd_{order_id}"
            )  # fmt: skip
        spent = 30 * [done.result() for done in spends].count("done")
        assert desk.balance() == before - spent - refund.result()["taken_back"] >= 0
    assert reconcile(desk.app) == []


def test_two_refunds_at_once_take_back_once(desk, order):
    with ThreadPoolExecutor(2) as threads:
        outcomes = sorted(
            threads.map(lambda number: outcome(lambda: desk.take_back(refund_id=f"rfd_{number}")), range(2))
        )
    assert outcomes == ["already_taken_back", "done"]
    assert desk.balance() == 50


# --- some of it ---


def of(line_id, credits):
    return {"line_id": line_id, "credits": credits}


def test_some_lines_are_taken_back_and_then_the_rest(desk, order):
    assert desk.take_back(lines=[of("lin_a", 40), of("lin_b", 300)]) == {
        "refund_id": "rfd_1", "order_id": "ord_1", "taken_back": 340, "claimed": 0, "spent": 0, "expired": 0,
    }  # fmt: skip
    assert desk.take_back(lines=[of("lin_a", 40), of("lin_b", 300)])["taken_back"] == 340
    assert (desk.balance(), states(desk)) == (110, ["issued", "recalled"])
    assert sorted(became(desk)) == [(50, 0, 50), (100, 40, 60), (300, 0, 300), (300, 300, 0)]
    assert desk.take_back(refund_id="rfd_2")["taken_back"] == 360
    assert (desk.balance(), states(desk)) == (50, ["recalled", "recalled"])
    assert refusal_of(lambda: desk.take_back(refund_id="rfd_3", lines=[of("lin_a", 1)])).code == "already_taken_back"
    assert reconcile(desk.app) == []


def test_unclaimed_cards_of_a_line_come_first_and_claimed_ones_need_a_decision(desk, order):
    _, number, code = order[0]
    desk.claim(number, code)
    assert desk.take_back(lines=[of("lin_b", 300)])["taken_back"] == 300
    refused = refusal_of(lambda: desk.take_back(refund_id="rfd_2", lines=[of("lin_b", 300)]))
    assert (refused.code, refused.extra) == ("credits_in_use", {"claimed": 300, "spent": 0})
    reply = desk.take_back(refund_id="rfd_2", lines=[of("lin_b", 300)], claimed="refund_anyway")
    assert (reply["taken_back"], reply["claimed"], desk.balance(desk.bolt)) == (0, 300, 300)
    assert reconcile(desk.app) == []


def test_spent_credits_of_a_line_need_a_decision(desk, order):
    desk.spend(120)  # 50 of the other order, 70 of this one
    assert refusal_of(lambda: desk.take_back(lines=[of("lin_a", 100)])).extra == {"claimed": 0, "spent": 70}
    assert desk.take_back(lines=[of("lin_a", 30)])["taken_back"] == 30
    reply = desk.take_back(refund_id="rfd_2", lines=[of("lin_a", 70)], claimed="refund_anyway")
    assert (reply["taken_back"], reply["spent"], desk.balance()) == (0, 70, 0)


def test_a_card_cannot_be_taken_back_in_part(desk, order):
    assert refusal_of(lambda: desk.take_back(lines=[of("lin_b", 200)])).code == "card_not_divisible"
    assert states(desk) == ["issued", "issued"]


def test_some_of_it_against_a_claim_has_one_winner(postgres_desk, line):
    desk = postgres_desk
    for number in range(6):
        order_id, line_id = f"ord_{number}", f"lin_{number}"
        desk.pay(line(line_id, credits=300, to="support_card"), order_id=order_id)
        card = desk.events("credits.card_issued.v1")[-1]
        code = desk.mails.open(card["sealed_code"])

        def outcome(call):
            try:
                call()
            except Refusal as refusal:
                return refusal.code
            return "won"

        with ThreadPoolExecutor(2) as pool:
            claim = pool.submit(outcome, lambda card=card, code=code: desk.claim(card["number"], code))
            part = pool.submit(
                outcome,
                lambda order_id=order_id, line_id=line_id, number=number: desk.take_back(
                    refund_id=f"rfd_{number}", order_id=order_id, lines=[of(line_id, 300)]
                ),
            )
        assert {claim.result(), part.result()} in ({"won", "credits_in_use"}, {"won", "card_not_claimable"})
    assert reconcile(desk.app) == []
