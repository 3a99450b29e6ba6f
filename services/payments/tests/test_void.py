"""Giving up: a charge and a void of one order are one of the two, whichever process dies and whoever answers late."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chassis.testing import FixedClock, emitted, identity
from kernel.errors import Refusal
from kernel.money import Money
from payments.bootstrap import App
from payments.domain.provider import Unknown
from payments.offline_provider import PROVIDER_TOKENS
from payments.storage import ATTEMPT, INTENT
from payments.use_cases.get_intent import get_intent
from payments.use_cases.settle_payments import settle_payments

Pay = Callable[..., dict[str, Any]]


def names(app: App) -> list[str]:
    return [name for name, _ in emitted(app.database)]


def test_what_the_provider_has_not_seen_is_voided_and_never_charged(
    app: App, pay: Pay, give_up: Pay, fake_provider: Any, clock: FixedClock, rows: Any
) -> None:
    fake_provider.silent = True
    pay(app)
    fake_provider.silent = False

    reply = give_up(app)

    assert (reply["state"], reply["decline"], reply["card"]) == ("voided", None, None)
    assert emitted(app.database) == [
        ("payments.voided.v1", {"order_id": "ord_1", "intent_id": reply["intent_id"]})
    ]  # fmt: skip
    [attempt] = rows(app.database, ATTEMPT)
    assert (attempt["state"], attempt["provider_token"], attempt["next_check_at"]) == ("voided", None, None)
    clock.advance(days=1)
    assert settle_payments(app) == 0
    assert pay(app) == give_up(app) == reply
    assert fake_provider.captures() == 0
    assert names(app) == ["payments.voided.v1"]


@pytest.mark.parametrize(("token", "state"), [("success", "captured"), ("declined", "failed")])
def test_what_was_answered_stays_as_it_is(app: App, pay: Pay, give_up: Pay, token: str, state: str) -> None:
    first = pay(app, PROVIDER_TOKENS[token])

    assert give_up(app) == first
    assert first["state"] == state
    assert names(app) == [f"payments.{state}.v1"]


def test_charged_but_not_answered_is_found_captured(app: App, pay: Pay, give_up: Pay, fake_provider: Any) -> None:
    assert pay(app, PROVIDER_TOKENS["timeout"])["state"] == "processing"

    assert give_up(app)["state"] == "captured"
    assert fake_provider.captures() == 1
    assert names(app) == ["payments.captured.v1"]


def test_an_order_that_nothing_was_asked_for_is_kept_in_mind(app: App, pay: Pay, give_up: Pay, rows: Any) -> None:
    """The request to collect is still on its way: cart died after sending it, or the broker held it back."""
    reply = give_up(app)

    assert reply["state"] == "voided"
    assert rows(app.database, ATTEMPT) == []
    assert pay(app) == give_up(app) == get_intent(app, None, order_id="ord_1") == reply
    assert names(app) == ["payments.voided.v1"]


def test_while_the_provider_is_silent_it_is_asked_to_void_and_never_to_charge(
    app: App, pay: Pay, give_up: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    fake_provider.silent = True
    pay(app)
    assert give_up(app)["state"] == "processing"
    clock.advance(minutes=1)
    assert settle_payments(app) == 0
    fake_provider.silent = False
    clock.advance(minutes=1)

    assert settle_payments(app) == 1

    assert [verb for verb, _ in fake_provider.asked] == ["charge", "void", "void", "void"]
    assert get_intent(app, None, order_id="ord_1")["state"] == "voided"
    assert names(app) == ["payments.voided.v1"]


def test_a_crash_after_the_wish_is_settled_by_asking_for_the_void(
    app: App, pay: Pay, give_up: Pay, fake_provider: Any, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider.silent = True
    pay(app)
    fake_provider.silent = False
    with monkeypatch.context() as patch:
        patch.setattr("payments.use_cases.void.settle_attempt", _die)
        with pytest.raises(KeyboardInterrupt):
            give_up(app)
    clock.advance(seconds=11)

    assert settle_payments(app) == 1
    assert get_intent(app, None, order_id="ord_1")["state"] == "voided"
    assert fake_provider.captures() == 0


def _die(*_: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("order_id", ["ord_1", "ord_2"])
def test_another_organisations_order_is_not_found(app: App, pay: Pay, give_up: Pay, order_id: str, rows: Any) -> None:
    pay(app)
    with pytest.raises(Refusal, match="not_found"):
        give_up(app, order_id=order_id, caller=identity(organization_id="org_bolt"))
    if order_id == "ord_1":
        with pytest.raises(Refusal, match="not_found"):
            give_up(
                app, caller=None, payer={"organization_id": "org_bolt", "user_id": "usr_bea", "email": "b@b.example"}
            )
    assert [row["state"] for row in rows(app.database, INTENT)] == ["captured"]


def test_a_void_that_overtakes_the_charge_wins(
    migrated: Any, running_provider: Any, app_on: Any, pay: Pay, give_up: Pay
) -> None:
    """The attempt is committed, the charge not yet sent: the provider hears of the void first."""
    provider = running_provider.client()
    app = app_on(migrated("payments"), provider)
    charge = provider.charge

    def overtaken(*arguments: Any) -> Any:
        assert give_up(app)["state"] == "voided"
        return charge(*arguments)

    provider.charge = overtaken
    assert pay(app)["state"] == "voided"
    assert running_provider.book.by_reference("ord_1") == []
    assert names(app) == ["payments.voided.v1"]


def test_collect_and_void_at_once_are_one_of_the_two(
    migrated: Any, running_provider: Any, app_on: Any, pay: Pay, give_up: Pay, clock: FixedClock
) -> None:
    app = app_on(migrated("payments", clock), running_provider.client())
    with ThreadPoolExecutor(16) as pool:
        for number in range(8):
            order_id = f"ord_{number}"
            for work in [pool.submit(work, app, order_id=order_id) for work in (pay, give_up) * 8]:
                work.result()
            state = get_intent(app, None, order_id=order_id)["state"]
            assert len(running_provider.succeeded(order_id)) == (1 if state == "captured" else 0)
            assert state in ("captured", "voided")
    told = [data["order_id"] for _, data in emitted(app.database)]
    assert sorted(told) == [f"ord_{number}" for number in range(8)]


def test_a_provider_that_wants_to_be_left_alone_is_asked_no_sooner(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    fake_provider.charge = lambda *_: Unknown("status 429", retry_after_s=600)
    pay(app)
    clock.advance(seconds=599)
    assert settle_payments(app) == 0
    assert fake_provider.asked == []
    clock.advance(seconds=1)
    del fake_provider.charge
    assert settle_payments(app) == 1
    assert fake_provider.captures() == 1
    assert fake_provider.book[fake_provider.asked[0][1]].amount == Money(12000, "USD")
