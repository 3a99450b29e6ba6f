"""Reconciling: each rule finds its break, and nothing else is one."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest

from chassis import context
from chassis.identity import IdentityVerifier, public_key_of
from chassis.messages import load_request
from chassis.sealing import new_key
from chassis.testing import rpc_contract
from credits.messages import RecordReconciliation
from kernel.errors import Refusal, unavailable
from punchcard.cli import main
from punchcard.parts import SERVICES
from punchcard.reconcile import Break, Report, StaffClient, find_breaks, reconcile
from punchcard.reconciling import keep_reconciling, reconcile_once

ORDER, CARD_LINE, GRANT_LINE, CARDS = "ord_1", "ord_1 oln_card", "ord_1 oln_grant", ("scc_1", "scc_2")
WITH_BUYER = {"taken_back": 0, "with_buyer": 300, "split_into": [], "reissues": []}
TOTAL = {"amount_minor": 500, "currency": "USD"}


def _line(line_id: str, quantity: int, credits: int, destination: str | None, is_bound: bool = False) -> dict[str, Any]:
    return {
        "line_id": line_id, "quantity": quantity, "credits": credits, "credit_destination": destination,
        "is_bound": is_bound, "handed_over": True,
    }  # fmt: skip


def _intent(order_id: str, method: str, state: str, captures: int = 0, received: int = 0) -> dict[str, Any]:
    return {
        "order_id": order_id, "intent_id": f"pay_{order_id}", "method": method, "state": state, "amount": TOTAL,
        "captures": captures, "received": {**TOTAL, "amount_minor": received},
        "surplus": {**TOTAL, "amount_minor": 0}, "refunded_minor": 0, "dispute": None, "strays": 0,
        "strays_returned": 0, "strays_returned_minor": 0,
    }  # fmt: skip


class FakeStore:
    """A store of one paid order with everything it brought, and one that was declined; to be broken."""

    def __init__(self) -> None:
        self.orders: list[Any] = [
            {
                "order_id": ORDER, "number": "PC-1", "state": "fulfilled", "paid_at": "2026-11-22T12:00:00.000Z",
                "payment_method": "card", "total": TOTAL, "problem": None, "refund": None, "refunds": [],
                "dispute": None,
                "lines": [
                    _line("oln_card", 2, 300, "support_card"),
                    _line("oln_grant", 3, 100, "organization", is_bound=True),
                    _line("oln_box", 1, 0, None),
                ],
            },
            {
                "order_id": "ord_2", "number": "PC-2", "state": "cancelled", "paid_at": None,
                "payment_method": "card", "total": TOTAL, "problem": None, "refund": None, "refunds": [],
                "dispute": None,
                "lines": [_line("oln_other", 1, 300, "support_card")],
            },
        ]  # fmt: skip
        self.intents: list[Any] = [
            _intent(ORDER, "card", "captured", captures=1),
            _intent("ord_2", "card", "failed"),
        ]
        self.brought: list[Any] = [
            {"order_id": ORDER, "line_id": "oln_grant", "card_id": None, "credits": 300, **WITH_BUYER},
            *(
                {"order_id": ORDER, "line_id": "oln_card", "card_id": card, "credits": 300, **WITH_BUYER}
                for card in CARDS
            ),
        ]
        self.bound: list[Any] = [{"order_id": ORDER, "line_id": "oln_grant"}]
        causes = [("receipt", ORDER), *(("card", card) for card in CARDS), ("card_claimed", "scc_1")]
        self.deliveries: list[Any] = [
            {"kind": kind, "cause": f"{kind}:{subject}", "state": "sent"} for kind, subject in causes
        ]
        self.tickets: list[Any] = [
            {"ticket_id": "tkt_1", "step": None, "held": 60, "debited": 45, "given_back": 0},
            {"ticket_id": "tkt_2", "step": None, "held": 0, "debited": 10, "given_back": 10},
        ]
        self.holds: list[Any] = [
            {"cause": "tkt_1/2", "held": 60, "spent": 0, "given_back": 0},
            {"cause": "tkt_1/1", "held": 0, "spent": 45, "given_back": 0},
            {"cause": "tkt_2/1", "held": 0, "spent": 10, "given_back": 10},
        ]
        self.known_disputes: list[Any] = []
        self.ledger: list[Any] = []
        self.totals = {
            "brought": 900,
            "on_organizations": 290,
            "on_cards": 600,
            "spent": 10,
            "expired": 0,
            "taken_back": 0,
        }
        self.messaging: dict[str, Any] = {
            name: {"unsent": 0, "oldest_unsent_s": None, "dead_letters_by_cause": {"malformed:no_id": 2}}
            for name in SERVICES
        }
        self.charges: dict[str, list[int]] = {ORDER: [500]}
        self.disputed: dict[str, str] = {}
        self.depths: dict[str, int | None] = {"rpc-cart": 0}
        self.looks = 0
        self.page_size = 2
        self.after_look: Callable[[], None] = lambda: None

    def wired(self, captures: int = 1, received: int = 500) -> None:
        """The paid order by wire, as it should be unless told."""
        self.orders[0].update(payment_method="wire")
        self.intents[0] = _intent(ORDER, "wire", "captured", captures, received)
        self.charges.clear()

    def call(self, service: str, method: str, data: dict[str, Any] | None = None, *, timeout_s: float = 5) -> Any:
        """As `RpcClient.call`."""
        if method == "messaging_state":
            return self.messaging[service]
        if method == "reconcile":
            return {"breaks": self.ledger, "totals": self.totals}
        if method == "dispute_facts":
            return {"items": copy.deepcopy(self.known_disputes), "next": None}
        if method == "hold_facts":
            return {"items": copy.deepcopy(self.holds), "next": None}
        lists = {"support": self.tickets, "cart": self.orders, "payments": self.intents, "credits": self.brought,
                 "accounts": self.bound, "notifications": self.deliveries}  # fmt: skip
        assert data is not None
        start = int(data["cursor"] or 0)
        end = start + min(self.page_size, data["limit"])
        return copy.deepcopy({
            "items": lists[service][start:end], "next": str(end) if end < len(lists[service]) else None,
        })  # fmt: skip

    def look(self) -> dict[str, int | None]:
        """The queues, which come first in each look."""
        self.looks += 1
        if self.looks > 1:
            self.after_look()
        return self.depths

    def reconcile(self, **options: Any) -> Report:
        return reconcile(self, book=self, depths=self.look, **options)

    def amounts(self, order_id: str) -> list[int]:
        return self.charges.get(order_id, [])

    def disputes(self) -> dict[str, str]:
        return self.disputed


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def test_a_store_in_order_has_no_breaks_and_says_what_was_looked_at(store: FakeStore) -> None:
    report = store.reconcile()
    assert report.breaks == []
    assert str(report) == "nothing is broken: 2 orders, 1 paid, 2 cards, 4 mails"


def test_without_a_book_and_a_broker_the_services_are_believed(store: FakeStore) -> None:
    store.charges = {}
    assert reconcile(store).breaks == []


def test_orders_by_wire_that_are_as_they_should_be(store: FakeStore) -> None:
    store.wired(received=600)
    store.intents[0]["surplus"]["amount_minor"] = 100
    store.orders[1].update(state="awaiting_payment", payment_method="check")
    store.intents[1] = _intent("ord_2", "check", "requires_action", received=200)
    assert store.reconcile().breaks == []


def test_what_was_taken_by_error_is_a_break_until_it_is_given_back(store: FakeStore) -> None:
    """Of an order that was never paid, and of one that was."""
    store.charges |= {ORDER: [500, 400], "ord_2": [500]}
    for intent in store.intents:
        intent.update(strays=1, strays_returned=0, strays_returned_minor=0)
    assert store.reconcile().breaks == [
        Break("paid_order_has_one_charge", ORDER, 1, 2),
        Break("paid_order_has_one_charge", "ord_2", 0, 1),
        Break("stray_capture_is_given_back", ORDER, 0, 1),
        Break("stray_capture_is_given_back", "ord_2", 0, 1),
    ]
    store.charges = {ORDER: [500, 400, -400], "ord_2": [500, -500]}
    for intent, amount_minor in zip(store.intents, (400, 500), strict=True):
        intent.update(strays_returned=1, strays_returned_minor=amount_minor)
    assert store.reconcile().breaks == []
    store.charges["ord_2"].append(-500)
    assert store.reconcile().breaks == [Break("order_has_its_money_back_in_the_book", "ord_2", 500, 1000)]


REFUND = {"refund_id": "rfd_1", "state": "done", "amount": TOTAL, "taken_back": 900}


def refunded(store: FakeStore) -> FakeStore:
    """The paid order, refunded as it should be."""
    store.orders[0].update(state="refunded", refunds=[dict(REFUND)])
    store.intents[0].update(refunded_minor=500)
    store.charges[ORDER].append(-500)
    for item in store.brought:
        item.update(taken_back=300, with_buyer=0)
    store.totals.update(on_organizations=0, on_cards=0, spent=0, taken_back=900)
    store.deliveries.append({"kind": "refund", "cause": "refund:rfd_1", "state": "sent"})
    return store


def test_a_refunded_order_is_in_order(store: FakeStore) -> None:
    assert refunded(store).reconcile().breaks == []


def test_a_refund_that_was_refused_by_the_provider_took_credits_and_no_money(store: FakeStore) -> None:
    refunded(store).deliveries.pop()
    store.orders[0].update(state="fulfilled", problem="refund_failed", refunds=[{**REFUND, "state": "failed"}])
    store.intents[0].update(refunded_minor=0)
    store.charges[ORDER].pop()
    assert store.reconcile().breaks == [Break("order_has_no_problem:refund_failed", ORDER, 0, 1)]


BROKEN_REFUND: dict[str, tuple[Callable[[FakeStore], Any], list[Break]]] = {
    "money that did not go back": (
        lambda s: s.intents[0].update(refunded_minor=0), [Break("order_has_its_money_back", ORDER, 500, 0)],
    ),
    "money that went back twice": (
        lambda s: s.charges[ORDER].append(-500), [Break("order_has_its_money_back_in_the_book", ORDER, 500, 1000)],
    ),
    "too little went back": (
        lambda s: s.charges.update({ORDER: [500, -499]}),
        [Break("order_has_its_money_back_in_the_book", ORDER, 500, 499)],
    ),
    "an order that is not refunded": (
        lambda s: s.orders[0].update(state="fulfilled"), [Break("order_is_refunded", ORDER, 1, 0)],
    ),
    "a refund that stopped on its way": (
        lambda s: (s.orders[0].update(state="fulfilled", refunds=[{**REFUND, "state": "returning_money"}]),
                   s.intents[0].update(refunded_minor=0), s.charges[ORDER].pop(), s.deliveries.pop()),
        [Break("refund_is_ended", ORDER, 1, 0)],
    ),
    "money without a refund": (
        lambda s: (s.orders[0].update(refunds=[], state="fulfilled"), s.deliveries.pop()),
        [Break("order_has_its_money_back", ORDER, 0, 500), Break("order_has_its_money_back_in_the_book", ORDER, 0, 500),
         Break("refund_took_its_credits_back", ORDER, 0, 900)],
    ),
    "credits that were not taken back": (
        lambda s: (s.brought[1].update(taken_back=0, with_buyer=300), s.totals.update(taken_back=600, on_cards=300)),
        [Break("refund_took_its_credits_back", ORDER, 900, 600),
         Break("refunded_order_leaves_no_credits", ORDER, 0, 300)],
    ),
    "no notice": (lambda s: s.deliveries.pop(), [Break("cause_has_one_mail", "refund:rfd_1", 1, 0)]),
    "credits that are nowhere": (
        lambda s: s.totals.update(taken_back=899), [Break("paid_credits_are_somewhere", "credits", 900, 899)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_REFUND)
def test_each_break_of_a_refund_is_named(store: FakeStore, name: str) -> None:
    damage, expected = BROKEN_REFUND[name]
    damage(refunded(store))
    assert store.reconcile().breaks == expected


BROKEN: dict[str, tuple[Callable[[FakeStore], Any], list[Break]]] = {
    "nothing captured": (
        lambda s: s.intents.pop(0), [Break("paid_order_has_one_capture", ORDER, 1, 0)],
    ),
    "captured twice": (
        lambda s: s.intents[0].update(captures=2), [Break("paid_order_has_one_capture", ORDER, 1, 2)],
    ),
    "an unpaid order captured": (
        lambda s: s.intents[1].update(state="captured", captures=1),
        [Break("paid_order_has_one_capture", "ord_2", 0, 1)],
    ),
    "captured for no order": (
        lambda s: s.intents.append({**s.intents[0], "order_id": "ord_3"}),
        [Break("paid_order_has_one_capture", "ord_3", 0, 1)],
    ),
    "another amount captured": (
        lambda s: s.intents[0].update(amount={**TOTAL, "amount_minor": 499}),
        [Break("captured_amount_is_the_total", ORDER, 500, 499)],
    ),
    "awaited, but not by payments": (
        lambda s: s.orders[1].update(state="awaiting_payment", payment_method="wire"),
        [Break("awaiting_order_is_awaited", "ord_2", 1, 0)],
    ),
    "awaited, but not by the order": (
        lambda s: s.intents[1].update(state="requires_action", method="wire"),
        [Break("awaiting_order_is_awaited", "ord_2", 0, 1)],
    ),
    "paid by wire without all of the money": (
        lambda s: s.wired(received=499),
        [Break("paid_order_has_its_money", ORDER, 500, 499), Break("surplus_is_what_is_not_used", ORDER, -1, 0)],
    ),
    "paid by wire twice": (
        lambda s: s.wired(captures=2), [Break("paid_order_has_one_capture", ORDER, 1, 2)],
    ),
    "paid by wire and charged": (
        lambda s: (s.wired(), s.charges.update({ORDER: [500]})), [Break("paid_order_has_one_charge", ORDER, 0, 1)],
    ),
    "too much wired, and nobody told": (
        lambda s: s.wired(received=501), [Break("surplus_is_what_is_not_used", ORDER, 1, 0)],
    ),
    "money for a cancelled order, and nobody told": (
        lambda s: s.intents[1]["received"].update(amount_minor=7),
        [Break("surplus_is_what_is_not_used", "ord_2", 7, 0)],
    ),
    "a mail about money not sent": (
        lambda s: s.deliveries.append({"kind": "payment_received", "cause": "payment_received:r", "state": "failed"}),
        [Break("mail_is_sent", "payment_received:r", 1, 0)],
    ),
    "disputed, and we have not heard": (
        lambda s: s.disputed.update({ORDER: "open"}), [Break("charge_dispute_is_open", ORDER, 1, 0)],
    ),
    "lost, and we believe it open": (
        lambda s: disputed(s, "open").disputed.update({ORDER: "lost"}),
        [Break("charge_dispute_is_lost", ORDER, 1, 0), Break("charge_dispute_is_open", ORDER, 0, 1)],
    ),
    "not charged": (lambda s: s.charges.clear(), [Break("paid_order_has_one_charge", ORDER, 1, 0)]),
    "charged twice": (
        lambda s: s.charges[ORDER].append(500), [Break("paid_order_has_one_charge", ORDER, 1, 2)],
    ),
    "an unpaid order charged": (
        lambda s: s.charges.update(ord_2=[500]), [Break("paid_order_has_one_charge", "ord_2", 0, 1)],
    ),
    "another amount charged": (
        lambda s: s.charges.update({ORDER: [501]}), [Break("charged_amount_is_the_total", ORDER, 500, 501)],
    ),
    "no grant": (
        lambda s: s.brought.pop(0),
        [Break("paid_line_has_its_credits", GRANT_LINE, 300, 0), Break("paid_line_has_one_grant", GRANT_LINE, 1, 0)],
    ),
    "granted twice": (
        lambda s: s.brought.append(s.brought[0]),
        [Break("paid_line_has_its_credits", GRANT_LINE, 300, 600), Break("paid_line_has_one_grant", GRANT_LINE, 1, 2)],
    ),
    "too little granted": (
        lambda s: s.brought[0].update(credits=299), [Break("paid_line_has_its_credits", GRANT_LINE, 300, 299)],
    ),
    "a card missing": (
        lambda s: (s.brought.pop(), s.deliveries.pop(2)),
        [Break("paid_line_has_its_cards", CARD_LINE, 2, 1), Break("paid_line_has_its_credits", CARD_LINE, 600, 300)],
    ),
    "an unpaid order granted": (
        lambda s: s.brought.append({"order_id": "ord_2", "line_id": "oln_other", "card_id": None, "credits": 300,
                                    "taken_back": 0, "with_buyer": 0}),
        [Break("paid_line_has_its_credits", "ord_2 oln_other", 0, 300),
         Break("paid_line_has_one_grant", "ord_2 oln_other", 0, 1)],
    ),
    "not bound": (lambda s: s.bound.clear(), [Break("paid_line_is_bound", GRANT_LINE, 1, 0)]),
    "bound for no order": (
        lambda s: s.bound.append({"order_id": "ord_9", "line_id": "oln_9"}),
        [Break("paid_line_is_bound", "ord_9 oln_9", 0, 1)],
    ),
    "no receipt": (lambda s: s.deliveries.pop(0), [Break("cause_has_one_mail", f"receipt:{ORDER}", 1, 0)]),
    "a card mail not sent": (
        lambda s: s.deliveries[1].update(state="failed"), [Break("cause_has_one_mail", "card:scc_1", 1, 0)],
    ),
    "no mail about a card that was split off": (
        lambda s: s.brought[1].update(split_into=["scc_1a"]), [Break("cause_has_one_mail", "card:scc_1a", 1, 0)],
    ),
    "no mail about a new code": (
        lambda s: s.brought[1].update(reissues=["scc_1:2"]),
        [Break("cause_has_one_mail", "card_reissued:scc_1:2", 1, 0)],
    ),
    "a new code that nobody asked for": (
        lambda s: s.deliveries.append({"kind": "card_reissued", "cause": "card_reissued:scc_1:2", "state": "sent"}),
        [Break("cause_has_one_mail", "card_reissued:scc_1:2", 0, 1)],
    ),
    "a receipt for an unpaid order": (
        lambda s: s.deliveries.append({"kind": "receipt", "cause": "receipt:ord_2", "state": "sent"}),
        [Break("cause_has_one_mail", "receipt:ord_2", 0, 1)],
    ),
    "a claim notice not sent": (
        lambda s: s.deliveries[3].update(state="queued"), [Break("mail_is_sent", "card_claimed:scc_1", 1, 0)],
    ),
    "paid, but not handed over": (
        lambda s: (s.orders[0].update(state="paid"), s.orders[0]["lines"][0].update(handed_over=False)),
        [Break("paid_order_is_handed_over", ORDER, 0, 1)],
    ),
    "handed over, but not fulfilled": (
        lambda s: s.orders[0].update(state="paid"), [Break("paid_order_is_fulfilled", ORDER, 1, 0)],
    ),
    "a contradiction": (
        lambda s: s.orders[1].update(problem="captured_after_cancel"),
        [Break("order_has_no_problem:captured_after_cancel", "ord_2", 0, 1)],
    ),
    "the ledger": (
        lambda s: s.ledger.append({"rule": "balance_is_not_negative", "subject": "a", "expected": 0, "found": -1}),
        [Break("ledger:balance_is_not_negative", "a", 0, -1)],
    ),
    "an old event in the outbox": (
        lambda s: s.messaging["cart"].update(unsent=3, oldest_unsent_s=60.5), [Break("outbox_is_sent", "cart", 0, 3)],
    ),
    "a dead letter without a cause": (
        lambda s: s.messaging["cart"].update(dead_letters_by_cause={"": 1, "X": 1}),
        [Break("dead_letter_has_a_cause", "cart", 0, 1)],
    ),
    "a message in a queue": (lambda s: s.depths.update({"rpc-cart": 4}), [Break("queue_is_empty", "rpc-cart", 0, 4)]),
    "a queue that is gone": (lambda s: s.depths.update({"rpc-cart": None}), [Break("queue_exists", "rpc-cart", 1, 0)]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_break_is_named(store: FakeStore, name: str) -> None:
    damage, expected = BROKEN[name]
    damage(store)
    assert store.reconcile().breaks == expected


def test_a_fresh_event_in_the_outbox_is_under_way(store: FakeStore) -> None:
    store.messaging["cart"].update(unsent=3, oldest_unsent_s=59.0)
    assert find_breaks(store.reconcile().facts, watched_s=59.5) == []


@pytest.mark.parametrize("age_s", [60.0, -3600.0], ids=["as old as the watch", "from a clock that was ahead"])
def test_an_event_that_was_there_the_whole_time_is_stuck(store: FakeStore, age_s: float) -> None:
    store.messaging["cart"].update(unsent=3, oldest_unsent_s=age_s)
    found = find_breaks(store.reconcile().facts, watched_s=60.0)
    assert found == [Break("outbox_is_sent", "cart", 0, 3)]


def test_what_goes_away_by_itself_was_under_way(store: FakeStore) -> None:
    intent = store.intents.pop(0)
    store.after_look = lambda: store.intents.insert(0, intent)
    assert store.reconcile(patience_s=60, pause_s=0).breaks == []
    assert store.looks == 2


def test_only_what_is_broken_at_every_look_is_reported(store: FakeStore) -> None:
    store.bound.clear()
    store.depths["rpc-cart"] = 1
    store.after_look = lambda: store.depths.update({"rpc-cart": 0, "rpc-credits": 1})
    assert store.reconcile(patience_s=0.05, pause_s=0).breaks == [Break("paid_line_is_bound", GRANT_LINE, 1, 0)]


@pytest.mark.parametrize(
    ("service", "facts"), [("cart", "orders"), ("payments", "intents"), ("credits", "brought"), ("accounts", "bound")]
)
def test_the_fake_says_what_the_contracts_say(store: FakeStore, service: str, facts: str) -> None:
    example = rpc_contract(service, "order_facts")["example"]["reply"]["items"][0]
    assert [set(item) for item in getattr(store, facts)] == [set(example)] * len(getattr(store, facts))


def test_staff_ask_under_an_identity_that_services_believe(store: FakeStore) -> None:
    key = new_key()
    seen = []
    answer = store.call

    def call(*arguments: Any, **options: Any) -> Any:
        request = context.current()
        assert request is not None
        seen.append(IdentityVerifier(public_key_of(key)).verify(request.identity_token))
        return answer(*arguments, **options)

    store.call = call  # type: ignore[method-assign]
    assert reconcile(StaffClient(store, key)).breaks == []
    assert {identity.require("superuser").organization_id for identity in seen} == {"org_punchcard"}


@pytest.mark.parametrize(("found", "status"), [([], 0), ([Break("outbox_is_sent", "cart", 0, 3)], 1)])
def test_the_command_exits_with_1_if_anything_is_broken(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    store: FakeStore,
    found: list[Break],
    status: int,
) -> None:
    monkeypatch.setenv("AMQP_URI", "amqp://127.0.0.1:1//")
    monkeypatch.setenv("IDENTITY_SIGNING_KEY", new_key())
    report = Report(found, store.reconcile().facts)
    monkeypatch.setattr("punchcard.reconcile.reconcile", lambda *_, **__: report)
    assert main(["reconcile"]) == status
    expected = "outbox_is_sent: cart: expected 0, found 3" if found else "nothing is broken: 2 orders"
    assert capsys.readouterr().out.startswith(expected)


def test_a_broker_that_is_away_is_no_break(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AMQP_URI", "amqp://127.0.0.1:1//")
    monkeypatch.setenv("IDENTITY_SIGNING_KEY", new_key())
    assert main(["reconcile"]) == 2
    assert "could not be asked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hold", "ticket", "found"),
    [
        ({"held": 50}, {}, Break("ticket_and_its_holds_agree:held", "tkt_1", 60, 50)),
        ({"spent": 1}, {}, Break("ticket_and_its_holds_agree:spent", "tkt_1", 45, 46)),
        ({"given_back": 1}, {}, Break("ticket_and_its_holds_agree:given_back", "tkt_1", 0, 1)),
        ({"cause": "tkt_0/1", "held": 0, "spent": 7}, {"held": 0},
         Break("ticket_and_its_holds_agree:spent", "tkt_0", 0, 7)),
        ({}, {"step": "settle"}, Break("ticket_goes_on:settle", "tkt_1", 0, 1)),
    ],
)  # fmt: skip
def test_tickets_and_their_holds(store: FakeStore, hold: dict[str, Any], ticket: dict[str, Any], found: Break) -> None:
    store.holds[0].update(hold)
    store.tickets[0].update(ticket)
    assert store.reconcile().breaks == [found]


def disputed(store: FakeStore, state: str) -> FakeStore:
    """The paid order, whose payment is disputed, with one card claimed before."""
    taken = {"open": 0, "won": 0, "lost": 600}[state]
    store.orders[0].update(dispute={"dispute_id": "dsp_1", "state": state})
    store.intents[0].update(dispute=state)
    store.disputed[ORDER] = state
    store.known_disputes.append({"dispute_id": "dsp_1", "order_id": ORDER, "state": state, "taken_back": taken})
    store.holds.append({"cause": "dispute:dsp_1", "held": 300 if state == "open" else 0, "spent": 0, "given_back": 0})
    if taken:
        for item in store.brought[:2]:
            item.update(taken_back=300, with_buyer=0)
        store.totals.update(on_organizations=0, on_cards=290, taken_back=600)
    return store


@pytest.mark.parametrize("state", ["open", "won", "lost"])
def test_disputes_that_are_as_they_should_be(store: FakeStore, state: str) -> None:
    assert disputed(store, state).reconcile().breaks == []


def test_a_dispute_with_no_order_here_is_not_held_against_the_store(store: FakeStore) -> None:
    store.disputed["ord_of_another_store"] = "open"  # with the same account at the provider
    assert store.reconcile().breaks == []


@pytest.mark.parametrize(
    ("state", "damage", "found"),
    [
        ("open", lambda s: s.known_disputes[0].update(state="won"), "closed_dispute_holds_nothing"),
        ("open", lambda s: s.known_disputes.clear(), "dispute_stands_in_credits_as_in_cart"),
        ("won", lambda s: s.orders[0].update(dispute=None), "dispute_stands_in_credits_as_in_cart"),
        ("won", lambda s: s.orders[0].update(dispute=None), "dispute_stands_in_cart_as_in_payments"),
        ("won", lambda s: s.holds[-1].update(held=1), "closed_dispute_holds_nothing"),
        ("lost", lambda s: s.known_disputes[0].update(taken_back=599), "refund_took_its_credits_back"),
        ("lost", lambda s: s.known_disputes[0].update(state="open"), "dispute_stands_in_credits_as_in_cart"),
    ],
)
def test_each_break_of_a_dispute_is_named(
    store: FakeStore, state: str, damage: Callable[[FakeStore], Any], found: str
) -> None:
    damage(disputed(store, state))
    assert found in [each.rule for each in store.reconcile().breaks]


class KeepingStore(FakeStore):
    """A store that keeps what reconciliations find, as credits would."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []
        self.away = 0

    def call(self, service: str, method: str, data: dict[str, Any] | None = None, *, timeout_s: float = 5) -> Any:
        if self.away:
            self.away -= 1
            raise unavailable()
        if method == "record_reconciliation":
            self.kept.append(load_request(RecordReconciliation(), data))
            return {"id": "rec_1"}
        return super().call(service, method, data, timeout_s=timeout_s)


def test_what_is_well_is_kept_too() -> None:
    store = KeepingStore()
    reconcile_once(store, patience_s=0)
    [kept] = store.kept
    assert (kept["breaks_count"], kept["breaks"]) == (0, [])
    assert kept["looked_at"] == {"orders": 2, "paid": 1, "cards": 2, "mails": 4}
    assert kept["began_at"] <= kept["ended_at"]


def test_a_break_is_kept_and_loud(caplog: pytest.LogCaptureFixture) -> None:
    store = KeepingStore()
    store.bound.clear()
    reconcile_once(store, patience_s=0)
    assert store.kept[0]["breaks"] == [
        {"rule": "paid_line_is_bound", "subject": GRANT_LINE, "expected": 1, "found": 0}
    ]  # fmt: skip
    assert [(line.levelno, line.message) for line in caplog.records] == [
        (logging.ERROR, f"broken: paid_line_is_bound: {GRANT_LINE}: expected 1, found 0")
    ]


def test_a_thousand_breaks_are_counted_and_some_are_kept() -> None:
    store = KeepingStore()
    store.bound += [{"order_id": f"ord_{number}", "line_id": "x" * 300} for number in range(1000)]
    reconcile_once(store, patience_s=0)
    assert (store.kept[0]["breaks_count"], len(store.kept[0]["breaks"])) == (1000, 200)


def test_who_does_not_answer_is_asked_again_while_there_is_patience() -> None:
    store = KeepingStore()
    store.away = 2
    assert store.reconcile(patience_s=60, pause_s=0).breaks == []
    store.away = 1
    with pytest.raises(Refusal, match="does not answer"):
        store.reconcile()


def test_a_store_that_does_not_answer_is_asked_again_later() -> None:
    store = KeepingStore()
    store.away = 1
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 2

    keep_reconciling(store, wait, every_s=7, patience_s=0)
    assert waits == [7, 7, 7]
    assert len(store.kept) == 1
