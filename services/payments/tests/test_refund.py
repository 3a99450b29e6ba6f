"""Giving money back: once for each refund, never more than was taken, whatever the provider says or does not say."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from chassis.messages import dump_checked
from chassis.persistence import Database
from chassis.testing import emitted, identity
from kernel.errors import Refusal
from kernel.money import Money
from payments import messages, storage
from payments.bootstrap import App
from payments.domain.provider import Refunded
from payments.use_cases.order_facts import order_facts
from payments.use_cases.refund import refund
from payments.use_cases.settle_refunds import settle_refunds

FINANCE = identity("finance", organization_id="org_punchcard")
ALL = 12000


def give_back(app: App, amount_minor: int = ALL, refund_id: str = "rfd_1", **changes: Any) -> dict[str, Any]:
    request = {"order_id": "ord_1", "amount": {"amount_minor": amount_minor, "currency": "USD"}, "reason": "Twice"}
    reply = refund(app, changes.pop("caller", FINANCE), refund_id=refund_id, **{**request, **changes})
    return dump_checked(messages.RefundReply(), reply)


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def events(app: App) -> list[str]:
    return [name for name, _ in emitted(app.database) if "refund" in name]


def given_back(app: App) -> int:
    facts = order_facts(app, FINANCE, limit=10, cursor=None)["items"]
    return sum(item["refunded_minor"] for item in facts)


def test_money_is_given_back_and_said_so(app: App, pay: Any, clock: Any) -> None:
    intent = pay(app)
    assert give_back(app) == {
        "refund_id": "rfd_1", "order_id": "ord_1", "state": "succeeded", "failure_code": None,
        "amount": {"amount_minor": ALL, "currency": "USD"},
    }  # fmt: skip
    [(_, said)] = [event for event in emitted(app.database) if event[0] == "payments.refunded.v1"]
    assert said == {
        "refund_id": "rfd_1", "order_id": "ord_1", "intent_id": intent["intent_id"],
        "amount": {"amount_minor": ALL, "currency": "USD"}, "provider_refund_id": "re_1",
        "refunded_at": "2026-11-24T12:00:00.000Z",
    }  # fmt: skip
    assert given_back(app) == ALL


def test_asked_again_it_answers_what_it_did(app: App, pay: Any, fake_provider: Any) -> None:
    pay(app)
    first = give_back(app)
    asked = list(fake_provider.asked)
    assert give_back(app) == give_back(app, caller=None) == first
    assert fake_provider.asked == asked
    assert events(app) == ["payments.refunded.v1"]


def test_parts_add_up_to_no_more_than_was_taken(app: App, pay: Any) -> None:
    pay(app)
    assert give_back(app, 7000)["state"] == "succeeded"
    assert code_of(lambda: give_back(app, 5001, "rfd_2")) == "refund_exceeds_payment"
    assert give_back(app, 5000, "rfd_3")["state"] == "succeeded"
    assert code_of(lambda: give_back(app, 1, "rfd_4")) == "refund_exceeds_payment"
    assert given_back(app) == ALL


@pytest.mark.parametrize("change", [{"amount_minor": 11999}, {"order_id": "ord_2"}])
def test_the_same_refund_with_something_else_is_refused(app: App, pay: Any, change: dict[str, Any]) -> None:
    pay(app)
    pay(app, order_id="ord_2")
    give_back(app)
    assert code_of(lambda: give_back(app, **change)) == "refund_differs"


def test_what_was_not_taken_is_not_given_back(app: App, pay: Any) -> None:
    assert code_of(lambda: give_back(app)) == "not_captured"
    with pytest.raises(Refusal, match="not_found"):
        pay(app, caller=identity(organization_id="org_x"))
    pay(app, "tok_test_declined")
    assert code_of(lambda: give_back(app)) == "not_captured"
    euros = {"amount_minor": 1, "currency": "EUR"}
    pay(app, order_id="ord_2")
    assert code_of(lambda: give_back(app, order_id="ord_2", amount=euros)) == "refund_exceeds_payment"


@pytest.mark.parametrize("role", ["viewer", "buyer", "admin", "support"])
def test_only_finance_gives_back(app: App, pay: Any, role: str) -> None:
    pay(app)
    assert code_of(lambda: give_back(app, caller=identity(role))) == "forbidden"


def test_a_silent_provider_is_asked_until_it_answers(app: App, pay: Any, clock: Any, fake_provider: Any) -> None:
    pay(app)
    fake_provider.silent = True
    assert give_back(app)["state"] == "processing"
    assert settle_refunds(app) == 0
    for _ in range(4):
        clock.advance(seconds=40)
        assert settle_refunds(app) == 0
    fake_provider.silent = False
    clock.advance(seconds=40)
    assert settle_refunds(app) == 1
    assert [what for what, _ in fake_provider.asked[-2:]] == ["find_refund", "refund"]
    assert given_back(app) == ALL
    assert events(app) == ["payments.refunded.v1"]


def test_an_answer_that_was_lost_is_found(app: App, pay: Any, clock: Any, fake_provider: Any) -> None:
    """Given back, but the answer never came: it is asked about, and not given back again."""
    pay(app)
    fake_provider.silent = True
    give_back(app)
    fake_provider.silent = False
    [charge] = fake_provider.book.values()
    done = fake_provider.refund("rfd_1", charge.charge_id, Money(ALL, "USD"))
    clock.advance(seconds=40)
    assert give_back(app)["state"] == "succeeded"
    assert fake_provider.refunds == {"rfd_1": done}


def test_another_amount_is_not_believed(app: App, pay: Any, clock: Any, fake_provider: Any) -> None:
    pay(app)
    decide = fake_provider._decide_refund
    fake_provider._decide_refund = lambda *args: replace(decide(*args), amount=Money(1, "USD"))
    assert give_back(app)["state"] == "processing"
    assert events(app) == []


def test_a_refusal_of_the_provider_is_final_and_said(app: App, pay: Any, fake_provider: Any) -> None:
    pay(app)
    [charge] = fake_provider.book.values()
    fake_provider.refund("elsewhere", charge.charge_id, Money(1, "USD"))
    reply = give_back(app)
    assert (reply["state"], reply["failure_code"]) == ("failed", "refund_exceeds_charge")
    assert give_back(app) == reply
    assert events(app) == ["payments.refund_failed.v1"]
    assert given_back(app) == 0
    assert give_back(app, ALL - 1, "rfd_2")["state"] == "succeeded"


def test_a_crash_before_the_provider_answers_is_made_good(
    app: App, pay: Any, clock: Any, fake_provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(app)

    class Crash(BaseException):
        """The process dies here."""

    def die(*_: Any) -> None:
        raise Crash

    monkeypatch.setattr("payments.use_cases.refund.record_refund", die)
    with pytest.raises(Crash):
        give_back(app)
    assert isinstance(fake_provider.refunds["rfd_1"], Refunded)
    clock.advance(seconds=40)
    assert settle_refunds(app) == 1
    assert len(fake_provider.refunds) == 1


def test_many_at_once_give_back_once(
    migrated: Callable[..., Database], app_on: Any, fake_provider: Any, pay: Any, clock: Any
) -> None:
    app = app_on(migrated("payments", clock, pool_size=20), fake_provider)
    pay(app)
    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(lambda _: give_back(app), range(20)))
    assert {reply["state"] for reply in replies} <= {"succeeded", "processing"}
    assert len(fake_provider.refunds) == 1
    assert events(app) == ["payments.refunded.v1"]


def test_several_refunds_at_once_never_exceed_what_was_taken(
    migrated: Callable[..., Database], app_on: Any, fake_provider: Any, pay: Any, clock: Any
) -> None:
    app = app_on(migrated("payments", clock, pool_size=20), fake_provider)
    pay(app)

    def attempt(number: int) -> str:
        try:
            return str(give_back(app, 5000, f"rfd_{number}")["state"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(10) as threads:
        outcomes = sorted(threads.map(attempt, range(10)))
    assert outcomes == ["refund_exceeds_payment"] * 8 + ["succeeded"] * 2
    assert given_back(app) == 10000


def test_the_database_keeps_what_is_settled(app: App, pay: Any, rows: Any) -> None:
    pay(app)
    give_back(app)
    [row] = rows(app.database, storage.REFUND)
    assert (row["state"], row["next_check_at"], row["provider_refund_id"]) == ("succeeded", None, "re_1")
