"""A dispute freezes what is unspent: won, all is as it was; lost, it is taken back; whatever comes in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.persistence import IntegrityError
from chassis.testing import make_event
from credits.messages import OrderDisputeClosed, OrderDisputed
from credits.storage.tables import CREDIT_HOLD, DISPUTED_ORDER, SUPPORT_CARD
from credits.use_cases.balance_alert import set_alert
from credits.use_cases.dispute_facts import dispute_facts
from credits.use_cases.end_dispute import end_dispute
from credits.use_cases.expire_cards import expire_cards
from credits.use_cases.freeze_order import freeze_order
from credits.use_cases.get_balance import get_balance
from credits.use_cases.hold_credits import hold_credits
from credits.use_cases.list_cards import list_cards
from credits.use_cases.list_entries import list_entries
from credits.use_cases.reconcile import credit_totals, reconcile
from credits.use_cases.settle_hold import give_back_hold, settle_hold
from kernel.errors import Refusal


def dispute(desk, order_id: str = "ord_1", dispute_id: str = "dsp_1") -> None:
    told = OrderDisputed().load({"dispute_id": dispute_id, "order_id": order_id})
    freeze_order(desk.app, make_event("cart.order_disputed.v1", told))


def close(desk, outcome: str, credits: int | None = None, order_id: str = "ord_1", dispute_id: str = "dsp_1") -> None:
    told = {"dispute_id": dispute_id, "order_id": order_id, "outcome": outcome, "credits": credits}
    end_dispute(desk.app, make_event("cart.order_dispute_closed.v1", OrderDisputeClosed().load(told)))


def code_of(call) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def cards(desk) -> list[tuple[str, str | None]]:
    """State of each card and who has frozen it, oldest first."""
    items = list_cards(desk.app, desk.acme, role="issuer", state=None, limit=100, cursor=None)["items"]
    return [(card["state"], card["frozen_by"]) for card in sorted(items, key=lambda card: card["id"])]


def balance(desk) -> tuple[int, int]:
    """What can be used, and what is held."""
    found = get_balance(desk.app, desk.acme)
    return found["balance"], found["held"]


def entries(desk) -> list[tuple[str, int]]:
    """The statement, oldest first."""
    items = list_entries(desk.app, desk.acme, limit=100, cursor=None)["items"]
    return [(entry["kind"], entry["amount"]) for entry in reversed(items)]


def taken_back(desk) -> list[tuple[str, int]]:
    items = dispute_facts(desk.app, desk.support, limit=10, cursor=None)["items"]
    return [(item["state"], item["taken_back"]) for item in items]


def hold(desk, credits: int) -> None:
    hold_credits(
        desk.app, None, organization_id="org_acme", cause="tkt_1/1", credits=credits, memo="Ticket 1"
    )  # fmt: skip


@pytest.fixture
def order(desk, line) -> list[tuple[str, str, str]]:
    """An order with a grant of 100 and three cards of 300, and a grant of another order beside it; its cards."""
    desk.pay(line("lin_a", credits=100), line("lin_b", credits=300, quantity=3, to="support_card"))
    desk.pay(line("lin_0", credits=50), order_id="ord_0")
    issued = desk.events("credits.card_issued.v1")
    return [(card["card_id"], card["number"], desk.mails.open(card["sealed_code"])) for card in issued]


def test_an_open_dispute_leaves_nothing_to_claim_or_spend_and_won_all_is_as_it_was(desk, order):
    _, number, code = order[0]
    desk.claim(number, code)
    desk.freeze(order[1][0])
    dispute(desk)

    assert cards(desk) == [("claimed", None), ("frozen", "dispute"), ("frozen", "dispute")]
    assert (balance(desk), desk.balance(desk.bolt)) == ((50, 100), 300)
    assert code_of(lambda: desk.claim(*order[2][1:])) == "card_not_claimable"
    assert code_of(lambda: desk.spend(51)) == "insufficient_credits"
    assert reconcile(desk.app) == []

    close(desk, "won")
    assert cards(desk) == [("claimed", None), ("frozen", "issuer"), ("issued", None)]
    assert balance(desk) == (150, 0)
    assert entries(desk) == [("grant", 100), ("grant", 50), ("hold", -100), ("release", 100)]
    desk.claim(*order[2][1:])
    desk.unfreeze(order[1][0])
    desk.spend(150)
    assert reconcile(desk.app) == []


def test_lost_takes_back_what_is_unspent_and_leaves_what_is_claimed_or_spent(desk, order):
    desk.claim(*order[0][1:])
    desk.freeze(order[1][0])
    desk.spend(30)
    dispute(desk)
    assert balance(desk) == (50, 70)
    close(desk, "lost")

    assert [state for state, _ in cards(desk)] == ["claimed", "recalled", "recalled"]
    assert (balance(desk), desk.balance(desk.bolt)) == ((50, 0), 300)
    assert taken_back(desk) == [("lost", 670)]
    assert credit_totals(desk.app)["taken_back"] == 670
    assert {event["reason"] for event in desk.events("credits.card_recalled.v1")} == {"dispute"}
    assert code_of(desk.take_back) == "already_taken_back"
    assert reconcile(desk.app) == []


@pytest.mark.parametrize(
    ("share", "states", "left"),
    [
        (1000, ["recalled", "recalled", "recalled"], 0),
        (650, ["issued", "recalled", "recalled"], 50),  # two whole cards, and the rest of the balance
        (250, ["issued", "issued", "issued"], 0),  # no card fits
        (0, ["issued", "issued", "issued"], 100),
    ],
)
def test_a_part_that_is_lost_takes_no_more_than_its_share_and_whole_cards(desk, order, share, states, left):
    dispute(desk)
    close(desk, "lost", share)
    assert sorted(state for state, _ in cards(desk)) == states
    assert balance(desk) == (50 + left, 0)
    assert taken_back(desk) == [("lost", 300 * states.count("recalled") + 100 - left)]
    assert reconcile(desk.app) == []


def test_its_issuer_can_do_nothing_with_a_card_that_it_froze(desk, order):
    card_id = order[0][0]
    desk.freeze(card_id)
    dispute(desk)
    for attempt in (
        desk.unfreeze,
        desk.freeze,
        desk.recall,
        desk.reissue,
        desk.bind,
        lambda it: desk.split(it, 1, 299),
    ):
        assert code_of(lambda attempt=attempt: attempt(card_id)) == "card_disputed"
    close(desk, "won")
    assert cards(desk)[0] == ("frozen", "issuer")
    desk.unfreeze(card_id)
    assert len(desk.split(card_id, 1, 299)["cards"]) == 2


@pytest.mark.parametrize(("outcome", "left"), [("won", (150, 0)), ("lost", (50, 0))])
def test_closed_before_opened_and_each_twice_is_one_effect(desk, order, outcome, left):
    close(desk, outcome)
    dispute(desk)
    for _ in range(2):
        close(desk, outcome)
        dispute(desk)
    assert balance(desk) == left
    assert {state for state, _ in cards(desk)} == {"issued" if outcome == "won" else "recalled"}
    assert reconcile(desk.app) == []


def test_another_dispute_of_the_order_is_for_a_person(desk, order):
    dispute(desk)
    with pytest.raises(LookupError, match="ord_1 has another dispute than dsp_2"):
        dispute(desk, dispute_id="dsp_2")
    with pytest.raises(LookupError, match="ord_1 has another dispute than dsp_2"):
        close(desk, "won", dispute_id="dsp_2")
    assert balance(desk) == (50, 100)


def test_an_order_without_credits_has_nothing_to_freeze(desk):
    dispute(desk, "ord_box")
    close(desk, "lost", order_id="ord_box")
    assert taken_back(desk) == [("lost", 0)]


def test_what_a_ticket_returns_meanwhile_is_frozen_too(desk, order):
    hold(desk, 80)
    dispute(desk)
    assert balance(desk) == (50, 100)
    settle_hold(desk.app, None, cause="tkt_1/1", spent=30)
    assert balance(desk) == (50, 70)
    give_back_hold(desk.app, None, cause="tkt_1/1", memo="A defect")
    assert balance(desk) == (50, 100)
    assert reconcile(desk.app) == []
    close(desk, "lost")
    assert (balance(desk), taken_back(desk)) == ((50, 0), [("lost", 1000)])
    assert reconcile(desk.app) == []


@pytest.mark.parametrize(("outcome", "left"), [("won", 130), ("lost", 50)])
def test_what_a_ticket_returns_after_the_end_follows_it(desk, order, outcome, left):
    hold(desk, 80)
    dispute(desk)
    close(desk, outcome)
    settle_hold(desk.app, None, cause="tkt_1/1", spent=20)
    assert balance(desk) == (left, 0)
    assert reconcile(desk.app) == []


def test_time_goes_on_for_what_is_frozen(desk, line):
    desk.app.credits_valid_days = 400
    desk.pay(line("lin_a", credits=100), line("lin_b", credits=300, to="support_card"))
    dispute(desk)
    desk.clock.advance(days=366)
    assert expire_cards(desk.app) == 1
    assert cards(desk) == [("expired", None)]
    desk.clock.advance(days=40)
    assert balance(desk) == (0, 100)
    close(desk, "won")
    assert balance(desk) == (0, 0)
    assert credit_totals(desk.app)["expired"] == 400
    assert reconcile(desk.app) == []


@pytest.mark.parametrize("lines", [None, [{"line_id": "lin_b", "credits": 300}]])
def test_no_refund_takes_what_is_disputed_or_lost_in_part(desk, order, lines):
    """A refund that was under way when the dispute came: it has taken its side before, or never does."""
    dispute(desk)
    assert code_of(lambda: desk.take_back(lines=lines)) == "order_disputed"
    close(desk, "lost", 300)
    assert code_of(lambda: desk.take_back(lines=lines)) == "order_disputed"
    assert (balance(desk), taken_back(desk)) == ((150, 0), [("lost", 300)])


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_a_refund_that_was_faster_leaves_nothing_to_freeze(desk, order, outcome):
    first = desk.take_back()
    dispute(desk)
    assert desk.take_back() == first
    close(desk, outcome)
    assert (balance(desk), taken_back(desk)) == ((50, 0), [(outcome, 0)])
    assert reconcile(desk.app) == []


def test_a_refund_after_a_dispute_that_was_won_takes_all(desk, order):
    dispute(desk)
    close(desk, "won")
    found = desk.take_back()
    assert (found["taken_back"], found["spent"], balance(desk)) == (1000, 0, (50, 0))


def test_the_database_lets_nothing_of_it_get_away(desk, order):
    dispute(desk)
    for state in ("issued", "claimed", "recalled", "split"):
        with pytest.raises(IntegrityError, match="a dispute freezes what is unspent"):
            desk.set_state(order[0][0], state)
    with pytest.raises(IntegrityError, match="a dispute freezes what is unspent"), desk.database.transaction() as tx:
        tx.execute(sa.update(CREDIT_HOLD).values(settled_at=tx.now))
    with pytest.raises(IntegrityError), desk.database.transaction() as tx:
        tx.execute(sa.update(DISPUTED_ORDER).values(state="won"))
    # and what gets away all the same is found
    with desk.database.transaction() as tx:
        tx.execute(sa.update(SUPPORT_CARD).where(SUPPORT_CARD.c.id == order[0][0]).values(frozen_by="issuer"))
    assert [found["rule"] for found in reconcile(desk.app)] == ["disputed_order_has_nothing_unspent"]


def outcome_of(call) -> str:
    try:
        call()
    except Refusal as refusal:
        return refusal.code
    return "done"


def test_a_dispute_against_claims_spends_and_a_recall_at_once(desk, line):
    """Whoever has the lock first wins: what got away was claimed or spent, and the rest is frozen."""
    for round_ in range(6):
        order_id, before = f"ord_{round_}", credit_totals(desk.app)
        _, number, code = desk.buy_card(order_id=order_id)
        recalled, _, _ = desk.buy_card(order_id=f"{order_id}_more", credits=40)
        with desk.database.transaction() as tx:  # both are of one order
            tx.execute(sa.update(SUPPORT_CARD).where(SUPPORT_CARD.c.id == recalled).values(order_id=order_id))
        with ThreadPoolExecutor(4) as threads:
            calls: list[Any] = [
                lambda number=number, code=code: desk.claim(number, code),
                lambda recalled=recalled: desk.recall(recalled),
                lambda round_=round_: desk.spend(10, cause=f"t{round_}"),
                lambda order_id=order_id: dispute(desk, order_id, f"dsp_{order_id}"),
            ]
            claim, recall, spend, frozen = threads.map(outcome_of, calls)
        assert frozen == "done"
        assert claim in ("done", "card_not_claimable")
        assert recall in ("done", "card_disputed")
        totals = credit_totals(desk.app)
        spent = 10 if spend == "done" else 0
        assert totals["spent"] - before["spent"] == spent
        frozen_cards = (0 if claim == "done" else 300) + (0 if recall == "done" else 40)
        assert totals["on_cards"] - before["on_cards"] == frozen_cards
        assert totals["on_hold"] - before["on_hold"] == (40 - spent if recall == "done" else 0)
        assert reconcile(desk.app) == []
        close(desk, "lost", order_id=order_id, dispute_id=f"dsp_{order_id}")
        assert reconcile(desk.app) == []


def test_opened_and_closed_at_once_is_closed(desk, line):
    for round_ in range(6):
        order_id, dispute_id = f"ord_{round_}", f"dsp_{round_}"
        desk.pay(line(f"lin_{round_}", credits=100), order_id=order_id)
        with ThreadPoolExecutor(2) as threads:
            opened = threads.submit(dispute, desk, order_id, dispute_id)
            closed = threads.submit(close, desk, "lost", None, order_id, dispute_id)
            opened.result()
            closed.result()
        assert balance(desk) == (0, 0)
        assert reconcile(desk.app) == []


def test_the_alert_of_a_low_balance_hears_of_it_once(desk, order):
    set_alert(desk.app, desk.acme, threshold=60)
    dispute(desk)
    close(desk, "lost")
    assert [event["balance"] for event in desk.events("credits.balance_low.v1")] == [50]
