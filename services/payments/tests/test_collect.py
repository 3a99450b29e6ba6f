"""Collecting with a provider in memory: states, idempotency, tenancy, what is settled later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chassis import context
from chassis.testing import FixedClock, emitted, identity
from kernel.errors import Kind, Refusal
from kernel.money import Money
from payments.bootstrap import App
from payments.domain.provider import Captured
from payments.offline_provider import PROVIDER_TOKENS
from payments.storage import ATTEMPT, INTENT
from payments.use_cases.get_intent import get_intent
from payments.use_cases.settle_payments import settle_payments

Pay = Callable[..., dict[str, Any]]


def test_a_good_card_is_captured_and_announced(app: App, pay: Pay, fake_provider: Any) -> None:
    reply = pay(app)

    assert reply["state"] == "captured"
    assert reply["card"] == {"brand": "visa", "last4": "4242"}
    assert reply["decline"] is None
    assert get_intent(app, identity(), order_id="ord_1") == reply
    assert fake_provider.references == ["ord_1"]
    assert emitted(app.database) == [
        (
            "payments.captured.v1",
            {
                "order_id": "ord_1",
                "intent_id": reply["intent_id"],
                "method": "card",
                "amount": {"amount_minor": 12000, "currency": "USD"},
                "card": {"brand": "visa", "last4": "4242"},
                "provider_charge_id": "ch_1",
                "captured_at": "2026-11-22T12:00:00.000Z",
            },
        )
    ]


@pytest.mark.parametrize(
    ("token", "code", "words"),
    [
        (PROVIDER_TOKENS["declined"], "card_declined", "another card"),
        (PROVIDER_TOKENS["insufficient_funds"], "insufficient_funds", "enough funds"),
        ("tok_nobody", "token_unknown", "Enter the card again"),
    ],
)
def test_a_decline_says_what_to_do(app: App, pay: Pay, token: str, code: str, words: str) -> None:
    reply = pay(app, token)

    assert reply["state"] == "failed"
    assert reply["decline"]["code"] == code
    assert words in reply["decline"]["message"]
    assert reply["card"] is None
    expected = {"order_id": "ord_1", "intent_id": reply["intent_id"], "decline": reply["decline"]}
    assert emitted(app.database) == [("payments.failed.v1", expected)]


@pytest.mark.parametrize("token", ["success", "declined"])
def test_asked_again_it_answers_what_is_known_without_asking_the_provider(
    app: App, pay: Pay, fake_provider: Any, token: str
) -> None:
    first = pay(app, PROVIDER_TOKENS[token])
    asked = list(fake_provider.asked)

    assert pay(app, PROVIDER_TOKENS["success"]) == first
    assert fake_provider.asked == asked
    assert len(emitted(app.database)) == 1


def test_another_call_while_the_first_is_under_way_answers_processing(app: App, pay: Pay, fake_provider: Any) -> None:
    replies = []
    charge = fake_provider.charge

    def charge_and_be_asked_again(*arguments: Any) -> Any:
        replies.append(pay(app, "tok_once_another"))
        return charge(*arguments)

    fake_provider.charge = charge_and_be_asked_again
    first = pay(app)

    assert first["state"] == "captured"
    assert replies == [{**first, "state": "processing", "card": None}]
    assert len(fake_provider.book) == 1


def test_silence_is_processing_and_is_settled_with_the_same_key(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    fake_provider.silent = True
    assert pay(app)["state"] == "processing"
    assert emitted(app.database) == []

    fake_provider.silent = False
    assert settle_payments(app) == 0, "it is not due yet"
    clock.advance(seconds=2)
    assert settle_payments(app) == 1

    assert get_intent(app, None, order_id="ord_1")["state"] == "captured"
    assert [verb for verb, _ in fake_provider.asked] == ["charge", "find", "charge"]
    assert len({key for _, key in fake_provider.asked}) == 1
    assert [name for name, _ in emitted(app.database)] == ["payments.captured.v1"]
    clock.advance(days=1)
    assert settle_payments(app) == 0


def test_a_lease_from_a_clock_that_was_ahead_holds_nobody(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    clock.advance(hours=1)
    fake_provider.silent = True
    assert pay(app)["state"] == "processing"
    clock.advance(hours=-1)
    fake_provider.silent = False
    assert settle_payments(app) == 1
    assert get_intent(app, None, order_id="ord_1")["state"] == "captured"


def test_a_timeout_after_charging_is_settled_as_captured_exactly_once(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    assert pay(app, PROVIDER_TOKENS["timeout"])["state"] == "processing"
    clock.advance(seconds=2)

    assert settle_payments(app) == 1
    assert [verb for verb, _ in fake_provider.asked] == ["charge", "find"]
    assert fake_provider.captures() == 1
    assert len(emitted(app.database)) == 1


def test_a_later_collect_resumes_an_attempt_that_is_due(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    pay(app, PROVIDER_TOKENS["timeout"])
    clock.advance(seconds=2)

    assert pay(app, "tok_once_another")["state"] == "captured"
    assert fake_provider.captures() == 1
    assert len(emitted(app.database)) == 1


def test_the_provider_is_asked_less_and_less_often(app: App, pay: Pay, fake_provider: Any, clock: FixedClock) -> None:
    fake_provider.silent = True
    pay(app)
    waits, waited = [], 0
    while len(waits) < 7:
        clock.advance(seconds=1)
        waited += 1
        before = len(fake_provider.asked)
        settle_payments(app)
        if len(fake_provider.asked) > before:
            waits.append(waited)
            waited = 0

    assert waits == [2, 4, 8, 16, 30, 30, 30]


def test_a_silent_provider_is_probed_once_a_run(app: App, pay: Pay, fake_provider: Any, clock: FixedClock) -> None:
    fake_provider.silent = True
    for number in range(5):
        pay(app, order_id=f"ord_{number}")
    clock.advance(seconds=2)
    fake_provider.asked.clear()

    assert settle_payments(app) == 0
    assert len(fake_provider.asked) == 1
    fake_provider.silent = False
    clock.advance(seconds=4)
    assert settle_payments(app) == 5
    assert fake_provider.captures() == 5


@pytest.mark.parametrize("amount", [Money(11999, "USD"), Money(12000, "EUR")])
def test_a_capture_of_another_amount_is_not_believed(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock, amount: Money
) -> None:
    decide = fake_provider._decide
    fake_provider._decide = lambda token, _: decide(token, amount)

    assert pay(app)["state"] == "processing"
    clock.advance(seconds=2)
    assert settle_payments(app) == 0
    assert get_intent(app, None, order_id="ord_1")["state"] == "processing"
    assert emitted(app.database) == []


class _Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def test_a_crash_between_charge_and_commit_is_settled_with_one_charge(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    charge = fake_provider.charge

    def charge_and_die(*arguments: Any) -> Any:
        assert isinstance(charge(*arguments), Captured)
        raise _Killed

    fake_provider.charge = charge_and_die
    with pytest.raises(_Killed):
        pay(app)
    assert emitted(app.database) == []
    assert pay(app)["state"] == "processing", "the dead one's lease still runs"

    clock.advance(seconds=10)
    assert settle_payments(app) == 1
    assert get_intent(app, None, order_id="ord_1")["state"] == "captured"
    assert fake_provider.captures() == 1
    assert len(emitted(app.database)) == 1


def test_a_crash_before_the_charge_is_settled_with_one_charge(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fake_provider, "charge", _raise_killed)
        with pytest.raises(_Killed):
            pay(app)
    assert fake_provider.book == {}

    clock.advance(seconds=10)
    assert settle_payments(app) == 1
    assert fake_provider.captures() == 1


def _raise_killed(*_: Any) -> Any:
    raise _Killed


def test_a_token_is_forgotten_once_it_has_served(app: App, pay: Pay, rows: Any) -> None:
    pay(app)
    pay(app, PROVIDER_TOKENS["declined"], order_id="ord_2")
    pay(app, PROVIDER_TOKENS["timeout"], order_id="ord_3")

    kept = {row["state"]: row["provider_token"] for row in rows(app.database, ATTEMPT)}
    assert kept == {"captured": None, "failed": None, "processing": PROVIDER_TOKENS["timeout"]}


def test_no_transaction_is_open_while_the_provider_is_asked(app: App, pay: Pay, fake_provider: Any) -> None:
    seen = []
    charge = fake_provider.charge
    fake_provider.charge = lambda *arguments: (seen.append(context.transaction_open.get()), charge(*arguments))[1]
    pay(app)

    assert seen == [False]


@pytest.mark.parametrize("call", ["collect", "get_intent"])
def test_another_organisations_payment_does_not_exist(app: App, pay: Pay, call: str) -> None:
    pay(app)
    stranger = identity(organization_id="org_other")

    with pytest.raises(Refusal) as refused:
        pay(app, caller=stranger) if call == "collect" else get_intent(app, stranger, order_id="ord_1")
    assert refused.value.kind is Kind.NOT_FOUND


def test_an_order_cannot_be_taken_over_by_naming_another_payer(app: App, pay: Pay, fake_provider: Any) -> None:
    pay(app)
    payer = {"organization_id": "org_other", "user_id": "usr_bob", "email": "bob@other.example"}

    with pytest.raises(Refusal) as refused:
        pay(app, payer=payer, caller=identity(organization_id="org_other"))
    assert refused.value.kind is Kind.NOT_FOUND
    assert len(fake_provider.book) == 1


def test_an_order_nobody_collected_for_is_not_found(app: App) -> None:
    with pytest.raises(Refusal) as refused:
        get_intent(app, None, order_id="ord_1")
    assert refused.value.code == "not_found"


def test_another_amount_for_the_same_order_is_refused(app: App, pay: Pay, fake_provider: Any) -> None:
    pay(app)

    with pytest.raises(Refusal) as refused:
        pay(app, amount={"amount_minor": 1, "currency": "USD"})
    assert refused.value.code == "amount_differs"
    assert len(fake_provider.book) == 1


def test_a_saved_card_does_not_exist_yet_and_leaves_no_trace(app: App, pay: Pay, rows: Any) -> None:
    with pytest.raises(Refusal) as refused:
        pay(app, None, payment_method_id="pm_1")
    assert refused.value.code == "payment_method_unknown"
    assert refused.value.errors[0]["field"] == "payment_method_id"
    assert rows(app.database, INTENT) == []
