"""Payment by wire and check: instructions, receipts, what is short, exact, over or late, and paying by card instead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chassis.messages import dump_checked, load_request
from chassis.persistence import Database
from chassis.testing import FixedClock, emitted, identity, sqlite_database
from kernel.errors import Kind, Refusal
from payments import messages, storage
from payments.bootstrap import App
from payments.domain.references import is_reference, normalised, reference_of
from payments.offline_provider import PROVIDER_TOKENS
from payments.use_cases.chase_remittances import chase_remittances
from payments.use_cases.get_intent import get_intent
from payments.use_cases.issue_instructions import issue_instructions
from payments.use_cases.list_review import list_review
from payments.use_cases.order_facts import order_facts
from payments.use_cases.pay_by_card import pay_by_card
from payments.use_cases.record_receipt import record_receipt
from payments.use_cases.settle_payments import settle_attempt
from payments.use_cases.void import void

DUE = 12000
REFERENCE = "RF84PC2026000123"
FAY = identity("finance", user_id="usr_fay", organization_id="org_punchcard")
PAYER = {
    "organization_id": "org_acme", "user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer",
    "language": "de", "organization": "Acme",
}  # fmt: skip


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


@pytest.fixture
def app(
    migrated: Callable[..., Database], app_on: Callable[..., App], clock: FixedClock, fake_provider: Any
) -> App:  # fmt: skip
    return app_on(migrated("payments", clock), fake_provider)


@pytest.fixture
def small_app(tmp_path: Path, app_on: Callable[..., App], clock: FixedClock, fake_provider: Any) -> Iterator[App]:
    """On SQLite only, for what is refused before a database could differ."""
    database = sqlite_database(tmp_path, "payments", clock)
    yield app_on(database, fake_provider)
    database.close()


def await_money(app: App, method: str = "wire", **changes: Any) -> dict[str, Any]:
    request = {
        "order_id": "ord_1", "order_number": "PC-2026-000123", "amount": usd(DUE), "method": method, "payer": PAYER,
        **changes,
    }  # fmt: skip
    reply = issue_instructions(app, identity(), **load_request(messages.IssueInstructions(), request))
    return dump_checked(messages.IntentReply(), reply)


def record(app: App, amount_minor: int = DUE, bank_reference: str = "B-1", **changes: Any) -> dict[str, Any]:
    request = {
        "idempotency_key": changes.pop("key", f"key {bank_reference}"), "method": "wire", "amount": usd(amount_minor),
        "received_on": "2026-11-22", "bank_reference": bank_reference,
        **(changes or {"reference": REFERENCE}),
    }  # fmt: skip
    if "order_id" not in request:
        request.setdefault("reference", REFERENCE)
    reply = record_receipt(app, FAY, **load_request(messages.RecordReceipt(), request))
    return dump_checked(messages.RecordedReply(), reply)


def refused(call: Callable[..., Any], *arguments: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*arguments, **more)
    return caught.value


def events(app: App, name: str) -> list[dict[str, Any]]:
    return [data for each, data in emitted(app.database) if each == f"payments.{name}.v1"]


def review(app: App, **filters: Any) -> list[dict[str, Any]]:
    reply = list_review(app, FAY, **load_request(messages.ListReview(), filters))
    return list(dump_checked(messages.ReviewList(), reply)["items"])


def facts(app: App) -> dict[str, Any]:
    (fact,) = dump_checked(messages.OrderFacts(), order_facts(app, FAY, limit=10, cursor=None))["items"]
    return dict(fact)


# --- references ---


def test_the_reference_is_an_rf_creditor_reference() -> None:
    assert reference_of("539007547034") == "RF18539007547034"  # the example that ISO 11649 is explained with
    assert reference_of("PC-2026-000123") == REFERENCE
    assert is_reference(REFERENCE)
    assert normalised(" rf84 PC20-2600 0123 ") == REFERENCE


@pytest.mark.parametrize("position", range(len(REFERENCE)))
def test_one_wrong_symbol_or_two_swapped_ones_are_noticed(position: int) -> None:
    for symbol in "0123456789ACFPR":
        wrong = REFERENCE[:position] + symbol + REFERENCE[position + 1 :]
        assert is_reference(wrong) == (wrong == REFERENCE)
    swapped = list(REFERENCE)
    swapped[position - 1 : position + 1] = reversed(swapped[position - 1 : position + 1])
    assert is_reference("".join(swapped)) == ("".join(swapped) == REFERENCE)


@pytest.mark.parametrize("number", ["", "-", "X" * 22])
def test_what_makes_no_reference(number: str) -> None:
    with pytest.raises(ValueError, match="order number"):
        reference_of(number)
    assert not is_reference(number)


# --- instructions ---


def test_instructions_say_how_to_pay_and_go_out_once(app: App) -> None:
    reply = await_money(app)
    assert (reply["state"], reply["method"], reply["decline"], reply["card"]) == ("requires_action", "wire", None, None)
    assert reply["instructions"] == {
        "method": "wire", "reference": REFERENCE, "amount": usd(DUE), "received": usd(0), "remaining": usd(DUE),
        "due_on": "2026-12-06", "expires_at": "2026-12-22T12:00:00.000Z", "issue": 1,
        "pay_to": {"account": "DE89", "beneficiary": "Punchcard"},
    }  # fmt: skip
    assert await_money(app) == reply
    (event,) = events(app, "instructions_issued")
    assert event["instructions"] == reply["instructions"]
    assert event["buyer"] == {"user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "de"}
    assert facts(app)["captures"] == 0


def test_another_method_replaces_the_instructions_and_keeps_the_reference_and_the_money(app: App) -> None:
    await_money(app)
    record(app, 7000)
    reply = await_money(app, "check")
    changed = reply["instructions"]
    assert (changed["method"], changed["issue"], changed["due_on"]) == ("check", 2, "2026-12-13")
    assert (changed["reference"], changed["remaining"]) == (REFERENCE, usd(5000))
    assert [event["instructions"]["issue"] for event in events(app, "instructions_issued")] == [1, 2]
    assert record(app, 5000, "1001", method="check")["payment"]["state"] == "captured"
    assert await_money(app) == get_intent(app, None, order_id="ord_1")
    assert get_intent(app, None, order_id="ord_1")["instructions"] is None


def test_what_is_not_awaited(app: App) -> None:
    await_money(app)
    assert refused(await_money, app, amount=usd(DUE + 1)).code == "amount_differs"
    assert refused(await_money, app, payer={**PAYER, "organization_id": "org_other"}).kind is Kind.NOT_FOUND
    app.remittances = {}
    closed = refused(await_money, app, order_id="ord_2", order_number="PC-2")
    assert (closed.kind, closed.code) == (Kind.INVALID, "payment_method_unavailable")


def test_an_intent_is_its_organisations_own(app: App) -> None:
    await_money(app)
    stranger = identity(organization_id="org_other")
    assert refused(get_intent, app, stranger, order_id="ord_1").kind is Kind.NOT_FOUND
    card = {"order_id": "ord_1", "attempt_id": "att_1", "provider_token": PROVIDER_TOKENS["success"]}
    assert refused(pay_by_card, app, stranger, **card).kind is Kind.NOT_FOUND
    assert refused(pay_by_card, app, None, **{**card, "order_id": "ord_2"}).kind is Kind.NOT_FOUND


# --- receipts ---


def test_the_exact_amount_completes_once(app: App) -> None:
    await_money(app)
    recorded = record(app)
    assert recorded["payment"] == {
        "state": "captured", "due": usd(DUE), "received": usd(DUE), "remaining": usd(0), "surplus": usd(0),
        "reason": None,
    }  # fmt: skip
    assert (recorded["receipt"]["recorded_by"], recorded["receipt"]["order_id"]) == ("usr_fay", "ord_1")
    (captured,) = events(app, "captured")
    assert (captured["amount"], captured["method"], captured["card"]) == (usd(DUE), "wire", None)
    assert len(events(app, "receipt_recorded")) == 1
    assert {name: facts(app)[name] for name in ("state", "captures", "received", "surplus")} == {
        "state": "captured", "captures": 1, "received": usd(DUE), "surplus": usd(0),
    }  # fmt: skip
    assert review(app) == []


def test_short_leaves_the_rest_due_and_the_rest_completes(app: App) -> None:
    await_money(app)
    short = record(app, 7000)
    assert (short["payment"]["state"], short["payment"]["remaining"]) == ("requires_action", usd(5000))
    assert events(app, "captured") == []
    instructions = get_intent(app, None, order_id="ord_1")["instructions"]
    assert (instructions["received"], instructions["remaining"]) == (usd(7000), usd(5000))
    rest = record(app, 5000, "B-2", order_id="ord_1")
    assert (rest["payment"]["state"], rest["payment"]["received"]) == ("captured", usd(DUE))
    assert [event["payment"]["remaining"] for event in events(app, "receipt_recorded")] == [usd(5000), usd(0)]
    assert len(events(app, "captured")) == 1


def test_over_completes_and_leaves_a_balance(app: App) -> None:
    await_money(app)
    record(app, 10000)
    over = record(app, 3000, "B-2")
    assert (over["payment"]["state"], over["payment"]["surplus"]) == ("captured", usd(1000))
    assert events(app, "captured")[0]["amount"] == usd(DUE)
    (item,) = review(app, reason="overpaid", order_id="ord_1")
    assert (item["amount"], item["receipt"]["amount"], item["receipt"]["id"]) == (
        usd(1000), usd(3000), over["receipt"]["id"],
    )  # fmt: skip
    assert facts(app)["surplus"] == usd(1000)
    assert review(app, reason="order_cancelled") == review(app, order_id="ord_2") == []


def test_money_for_a_paid_order_is_set_aside(app: App) -> None:
    await_money(app)
    record(app)
    more = record(app, 500, "B-2")
    assert more["payment"]["surplus"] == usd(500)
    assert [item["reason"] for item in review(app)] == ["order_paid"]
    assert len(events(app, "captured")) == 1


def test_the_same_key_replays_and_another_request_under_it_is_refused(app: App) -> None:
    await_money(app)
    first = record(app, 7000, key="k")
    assert record(app, 7000, key="k") == {**first, "replayed": True}
    assert refused(record, app, 7001, key="k").code == "idempotency_key_reused"
    assert facts(app)["received"] == usd(7000)


@pytest.mark.parametrize("typed", ["B-1", "b 1", "b1"])
def test_the_same_money_recorded_again_is_told_so(app: App, typed: str) -> None:
    await_money(app)
    record(app, 7000)
    again = refused(record, app, 7000, typed, key="of the second clerk")
    assert (again.kind, again.code, again.extra["receipt"]["recorded_by"]) == (
        Kind.CONFLICT, "receipt_already_recorded", "usr_fay",
    )  # fmt: skip
    assert refused(record, app, 6000, typed, key="of the third").code == "bank_reference_used"
    assert facts(app)["received"] == usd(7000)
    assert record(app, 1000, typed, method="check", key="a check's number")["payment"]["received"] == usd(8000)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reference": "RF85PC2026000123"}, "reference_invalid"),
        ({"reference": reference_of("PC-2026-000124")}, "not_found"),
        ({"order_id": "ord_none"}, "not_found"),
        ({"amount": {"amount_minor": 5, "currency": "EUR"}}, "currency_differs"),
        ({"received_on": "2026-11-24"}, "received_on_in_the_future"),
        ({"received_on": "yesterday"}, "validation_failed"),
        ({"bank_reference": " "}, "validation_failed"),
        ({"amount": usd(0)}, "validation_failed"),
        ({"amount": usd(-5)}, "validation_failed"),
        ({"method": "card"}, "validation_failed"),
        ({"reference": REFERENCE, "order_id": "ord_1"}, "validation_failed"),
        ({"recorded_by": "usr_eve"}, "validation_failed"),
    ],
    ids=str,
)
def test_a_receipt_that_is_refused_leaves_nothing(small_app: App, changes: dict[str, Any], code: str) -> None:
    await_money(small_app)
    before = emitted(small_app.database)
    assert refused(record, small_app, **changes).code == code
    assert (facts(small_app)["received"], emitted(small_app.database)) == (usd(0), before)


@pytest.mark.parametrize("role", ["buyer", "admin", "support"])
def test_only_finance_records_money(small_app: App, role: str) -> None:
    await_money(small_app)
    request = {
        "idempotency_key": "k", "order_id": "ord_1", "method": "wire", "amount": usd(1), "bank_reference": "B",
        "received_on": date(2026, 11, 22),
    }  # fmt: skip
    assert refused(record_receipt, small_app, identity(role), **request).kind is Kind.FORBIDDEN
    if role != "support":
        assert refused(
            list_review, small_app, identity(role), reason=None, order_id=None, limit=1, cursor=None
        ).code == ("forbidden")


# --- two clerks at once ---


def all_at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(count, timeout=60)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            return work(number)
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_many_clerks_record_the_same_money_with_one_effect(app: App) -> None:
    await_money(app)
    told = all_at_once(12, lambda number: record(app, key=f"clerk {number}"))
    assert sorted(answer if isinstance(answer, str) else "recorded" for answer in told) == (
        ["receipt_already_recorded"] * 11 + ["recorded"]
    )
    assert len(events(app, "captured")) == len(events(app, "receipt_recorded")) == 1
    assert (facts(app)["received"], facts(app)["captures"], review(app)) == (usd(DUE), 1, [])


def test_one_clerk_who_clicks_twelve_times_has_one_effect(app: App) -> None:
    await_money(app)
    told = all_at_once(12, lambda _: record(app, key="the same"))
    assert sorted(answer["replayed"] for answer in told) == [False] + [True] * 11
    assert len({answer["receipt"]["id"] for answer in told}) == 1


def test_many_parts_recorded_at_once_complete_once(app: App) -> None:
    await_money(app)
    told = all_at_once(8, lambda number: record(app, 2000, f"B-{number}"))
    states = [answer["payment"]["state"] for answer in told]
    assert (states.count("requires_action"), states.count("captured")) == (5, 3)
    assert len(events(app, "captured")) == 1
    assert facts(app)["received"] == usd(16000)
    assert sorted(item["amount"]["amount_minor"] for item in review(app)) == [2000, 2000]


# --- reminders, and the end ---


def test_the_payer_is_reminded_and_in_the_end_nobody_waits(app: App, clock: FixedClock) -> None:
    await_money(app)
    record(app, 7000)
    assert chase_remittances(app) == 0
    clock.advance(days=7)
    assert chase_remittances(app) == 1
    assert chase_remittances(app) == 0
    clock.advance(days=8)
    assert chase_remittances(app) == 1
    reminders = events(app, "reminder_issued")
    assert [event["reminder"] for event in reminders] == [1, 2]
    assert reminders[1]["instructions"]["remaining"] == usd(5000)
    clock.advance(days=15)
    assert chase_remittances(app) == 1
    assert chase_remittances(app) == 0
    (failed,) = events(app, "failed")
    assert failed["decline"]["code"] == "payment_overdue"
    intent = get_intent(app, None, order_id="ord_1")
    assert (intent["state"], intent["decline"]["code"], intent["instructions"]) == ("failed", "payment_overdue", None)
    assert [(item["reason"], item["amount"]) for item in review(app)] == [("order_cancelled", usd(7000))]


def test_reminders_that_nobody_sent_in_time_are_sent_once(app: App, clock: FixedClock) -> None:
    await_money(app)
    clock.advance(days=20)
    assert chase_remittances(app) == 1
    assert chase_remittances(app) == 0
    assert [event["reminder"] for event in events(app, "reminder_issued")] == [1]


def test_a_method_has_its_own_days(app: App, clock: FixedClock) -> None:
    await_money(app, "check")
    clock.advance(days=44)
    assert chase_remittances(app) == 0
    clock.advance(days=1)
    assert chase_remittances(app) == 1
    assert events(app, "reminder_issued") == []


def test_the_end_is_enforced_on_read(app: App, clock: FixedClock) -> None:
    await_money(app)
    clock.advance(days=30)
    assert get_intent(app, None, order_id="ord_1")["state"] == "failed"
    assert len(events(app, "failed")) == 1
    assert chase_remittances(app) == 0
    assert len(events(app, "failed")) == 1


def test_money_that_comes_after_the_end_is_set_aside(app: App, clock: FixedClock) -> None:
    await_money(app)
    clock.advance(days=30)
    late = record(app)
    assert (late["payment"]["state"], late["payment"]["reason"]) == ("failed", "order_cancelled")
    assert (late["payment"]["remaining"], late["payment"]["surplus"]) == (usd(0), usd(DUE))
    assert events(app, "captured") == []
    assert len(events(app, "failed")) == 1
    assert record(app, 100, "B-2")["payment"]["reason"] == "order_cancelled"
    assert len(review(app)) == 2


def test_many_sweeps_at_once_share_the_work(app: App, clock: FixedClock) -> None:
    for number in range(6):
        await_money(app, order_id=f"ord_{number}", order_number=f"PC-{number}")
    clock.advance(days=30)
    assert sum(all_at_once(4, lambda _: chase_remittances(app))) == 6
    assert len(events(app, "failed")) == 6


def test_money_recorded_while_the_sweep_ends_it_is_decided_one_way(app: App, clock: FixedClock) -> None:
    await_money(app)
    clock.advance(days=30)
    all_at_once(4, lambda number: record(app) if number == 0 else chase_remittances(app))
    assert len(events(app, "failed")) == 1
    assert events(app, "captured") == []
    assert [item["reason"] for item in review(app)] == ["order_cancelled"]


# --- not at all ---


def give_up(app: App) -> dict[str, Any]:
    request = {
        "order_id": "ord_1", "order_number": "PC-2026-000123", "amount": usd(DUE), "method": "wire",
        "payer": {name: PAYER[name] for name in ("organization_id", "user_id", "email")},
    }  # fmt: skip
    return dump_checked(messages.IntentReply(), void(app, None, **load_request(messages.Void(), request)))


def test_what_is_given_up_is_awaited_no_more_and_what_came_is_set_aside(app: App, clock: FixedClock) -> None:
    await_money(app)
    record(app, 7000)
    gone = give_up(app)
    assert (gone["state"], gone["instructions"]) == ("voided", None)
    assert give_up(app) == await_money(app) == await_money(app, "check") == card(app) == gone
    assert len(events(app, "voided")) == 1
    assert record(app, 5000, "B-2")["payment"]["reason"] == "order_cancelled"
    assert sorted(item["amount"]["amount_minor"] for item in review(app)) == [5000, 7000]
    clock.advance(days=60)
    assert chase_remittances(app) == 0
    assert events(app, "failed") == events(app, "captured") == []


def test_what_is_paid_is_not_given_up(app: App) -> None:
    await_money(app)
    record(app)
    assert give_up(app)["state"] == "captured"
    assert events(app, "voided") == []


def test_instructions_that_are_asked_for_after_giving_up_are_not_issued(app: App) -> None:
    assert give_up(app)["state"] == "voided"
    assert await_money(app)["state"] == "voided"
    assert events(app, "instructions_issued") == []


def test_a_card_that_is_being_tried_is_given_up(app: App, fake_provider: Any) -> None:
    await_money(app)
    app.provider.silent = True
    assert card(app)["state"] == "processing"
    app.provider.silent = False
    assert give_up(app)["state"] == "voided"
    assert fake_provider.captures() == 0


def test_money_recorded_while_it_is_given_up_is_decided_one_way(app: App) -> None:
    await_money(app)
    all_at_once(6, lambda number: record(app, key=f"k {number}") if number % 2 else give_up(app))
    ended = len(events(app, "captured")), len(events(app, "voided"))
    assert ended in {(1, 0), (0, 1)}
    assert [item["reason"] for item in review(app)] == ["order_cancelled"] * ended[1]


# --- a card instead ---


def card(app: App, attempt: str = "att_1", token: str = "success") -> dict[str, Any]:
    request = {"order_id": "ord_1", "attempt_id": attempt, "provider_token": PROVIDER_TOKENS[token]}
    return dump_checked(messages.IntentReply(), pay_by_card(app, None, **load_request(messages.PayByCard(), request)))


def test_a_card_pays_what_was_to_be_wired(app: App, fake_provider: Any) -> None:
    await_money(app)
    paid = card(app)
    assert (paid["state"], paid["method"], paid["card"]) == ("captured", "card", {"brand": "visa", "last4": "4242"})
    assert card(app) == card(app, "att_2") == paid
    assert fake_provider.captures() == len(events(app, "captured")) == 1
    late = record(app)
    assert late["payment"]["reason"] == "order_paid"
    assert facts(app)["captures"] == 1


def test_after_a_decline_the_money_is_awaited_as_before_and_another_card_may_pay(app: App, fake_provider: Any) -> None:
    awaited = await_money(app, "check")
    for _ in range(2):
        declined = card(app, token="declined")
        assert (declined["state"], declined["method"]) == ("requires_action", "check")
        assert declined["decline"]["code"] == "card_declined"
        assert declined["instructions"] == awaited["instructions"]
    assert len(fake_provider.book) == 1
    assert events(app, "failed") == []
    assert card(app, "att_2")["state"] == "captured"
    assert fake_provider.captures() == 1


def test_once_some_money_has_come_no_card_is_charged(app: App, fake_provider: Any) -> None:
    await_money(app)
    record(app, 1)
    kept = card(app)
    assert (kept["state"], kept["decline"], kept["instructions"]["received"]) == ("requires_action", None, usd(1))
    assert fake_provider.asked == []


def test_while_a_card_payment_is_under_way_no_money_is_recorded(
    app: App, clock: FixedClock, fake_provider: Any
) -> None:
    await_money(app)
    assert card(app, token="timeout")["state"] == "processing"
    assert refused(record, app).code == "payment_under_way"
    clock.advance(days=40)
    assert chase_remittances(app) == 0
    assert card(app, token="timeout")["state"] == "captured"
    assert record(app)["payment"]["reason"] == "order_paid"
    assert fake_provider.captures() == 1


def test_a_card_after_the_end_is_not_charged(app: App, clock: FixedClock, fake_provider: Any) -> None:
    await_money(app)
    clock.advance(days=30)
    assert card(app)["state"] == "failed"
    assert fake_provider.asked == []


def test_card_and_wire_at_once_pay_once(app: App, fake_provider: Any) -> None:
    await_money(app)
    all_at_once(6, lambda number: card(app, f"att_{number}") if number % 2 else record(app, key=f"k {number}"))
    assert len(events(app, "captured")) == facts(app)["captures"] == 1
    wired = facts(app)["received"]["amount_minor"] > 0 and not review(app)
    assert fake_provider.captures() == (0 if wired else 1)


def test_a_late_answer_about_an_old_card_does_not_touch_the_next(app: App, clock: FixedClock) -> None:
    await_money(app)
    app.provider.silent = True
    card(app, token="declined")
    clock.advance(seconds=2)
    with app.database.transaction() as tx:
        slow = storage.claim_due_attempt(tx, app.lease)
    app.provider.silent = False
    clock.advance(seconds=10)
    with app.database.transaction() as tx:
        second = storage.claim_due_attempt(tx, app.lease)
    assert slow is not None
    assert second is not None
    settle_attempt(app, second)
    assert card(app, "att_2", "timeout")["state"] == "processing"
    settle_attempt(app, slow)
    assert get_intent(app, None, order_id="ord_1")["state"] == "processing"
