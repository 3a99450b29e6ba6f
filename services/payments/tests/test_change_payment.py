"""Changing one's mind while a card is under way: at most one live attempt, at most one capture, whoever is late."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from chassis.messages import dump_checked, load_request
from chassis.persistence import IntegrityError
from chassis.testing import FixedClock, emitted, identity
from kernel.errors import Refusal
from payments import messages, storage
from payments.bootstrap import App
from payments.domain.provider import Voided
from payments.offline_provider import PROVIDER_TOKENS
from payments.storage import ATTEMPT, INTENT
from payments.use_cases.change_payment import change_payment
from payments.use_cases.get_intent import get_intent
from payments.use_cases.issue_instructions import issue_instructions
from payments.use_cases.pay_by_card import pay_by_card
from payments.use_cases.record_receipt import record_receipt
from payments.use_cases.settle_payments import settle_payments

Pay = Callable[..., dict[str, Any]]
FAY = identity("finance", user_id="usr_fay", organization_id="org_punchcard")
PAYER = {
    "organization_id": "org_acme", "user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer",
    "language": "de", "organization": "Acme",
}  # fmt: skip
ACTION = {"type": "redirect", "expires_at": "2026-11-22T12:15:00.000Z"}


def change(app: App, method: str = "card", token: str | None = "success", round: int = 1, **changes: Any) -> Any:
    request = {
        "order_id": "ord_1", "order_number": "PC-2026-000123", "amount": {"amount_minor": 12000, "currency": "USD"},
        "method": method, "payer": PAYER, "round": round, "attempt_id": f"att_{round}",
        "provider_token": PROVIDER_TOKENS[token] if method == "card" and token else None,
    }  # fmt: skip
    caller = changes.pop("caller", identity())
    reply = change_payment(app, caller, **load_request(messages.ChangePayment(), {**request, **changes}))
    return dump_checked(messages.IntentReply(), reply)


def names(app: App) -> list[str]:
    return [name for name, _ in emitted(app.database)]


def states(rows: Any, app: App) -> list[str]:
    return [row["state"] for row in sorted(rows(app.database, ATTEMPT), key=lambda row: row["round"])]


def test_a_card_that_asks_for_its_payer_waits_and_is_found_captured(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    waiting = pay(app, PROVIDER_TOKENS["3ds"])
    (key,) = fake_provider.waiting
    assert (waiting["state"], waiting["card"]) == ("processing", None)
    assert waiting["next_action"] == {**ACTION, "url": f"https://bank.example/{key}"}
    assert pay(app, PROVIDER_TOKENS["success"]) == waiting, "asked again, it looks and charges nothing else"
    clock.advance(minutes=1)
    assert settle_payments(app) == 1
    assert names(app) == []
    fake_provider.decide()
    paid = pay(app)
    assert (paid["state"], paid["next_action"], paid["card"]) == (
        "captured", None, {"brand": "visa", "last4": "3220"},
    )  # fmt: skip
    assert names(app) == ["payments.captured.v1"]


@pytest.mark.parametrize("by", ["sweep", "resume"])
def test_a_payer_that_refuses_has_the_payment_failed(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock, by: str
) -> None:
    pay(app, PROVIDER_TOKENS["3ds"])
    fake_provider.decide(confirmed=False)
    clock.advance(minutes=1)
    if by == "sweep":
        settle_payments(app)
    else:
        pay(app)
    failed = get_intent(app, None, order_id="ord_1")
    assert (failed["state"], failed["decline"]["code"]) == ("failed", "authentication_failed")
    assert names(app) == ["payments.failed.v1"]


@pytest.mark.parametrize("pending", ["3ds", "silent"])
def test_another_card_takes_the_place_of_one_under_way(
    app: App, pay: Pay, fake_provider: Any, rows: Any, pending: str
) -> None:
    fake_provider.silent = pending == "silent"
    pay(app, PROVIDER_TOKENS["3ds" if pending == "3ds" else "success"])
    fake_provider.silent = False
    paid = change(app)
    assert (paid["state"], states(rows, app)) == ("captured", ["voided", "captured"])
    fake_provider.decide()  # the payer confirms the first one after all
    assert fake_provider.captures() == 1
    assert change(app) == paid
    assert names(app) == ["payments.captured.v1"]


def test_a_wire_takes_the_place_of_a_card_under_way_and_is_paid_once(
    app: App, pay: Pay, fake_provider: Any, rows: Any
) -> None:
    pay(app, PROVIDER_TOKENS["3ds"])
    told = change(app, "wire")
    assert (told["state"], told["method"], told["instructions"]["remaining"]["amount_minor"]) == (
        "requires_action", "wire", 12000,
    )  # fmt: skip
    assert told["next_action"] is None
    assert change(app, "wire") == told
    assert states(rows, app) == ["voided"]
    fake_provider.decide()
    assert fake_provider.captures() == 0
    receipt = {
        "idempotency_key": "k", "method": "wire", "amount": {"amount_minor": 12000, "currency": "USD"},
        "received_on": "2026-11-22", "bank_reference": "B-1", "order_id": "ord_1",
    }  # fmt: skip
    reply = record_receipt(app, FAY, **load_request(messages.RecordReceipt(), receipt))
    assert reply["payment"]["state"] == "captured"
    assert change(app, "card", round=2)["state"] == "captured"
    assert names(app) == [
        "payments.instructions_issued.v1",
        "payments.receipt_recorded.v1",
        "payments.captured.v1",
    ] or (
        sorted(names(app))
        == ["payments.captured.v1", "payments.instructions_issued.v1", "payments.receipt_recorded.v1"]
    )


def test_the_first_card_was_faster(app: App, pay: Pay, fake_provider: Any, rows: Any) -> None:
    pay(app, PROVIDER_TOKENS["timeout"])
    paid = change(app, "card", "success")
    assert (paid["state"], states(rows, app), fake_provider.captures()) == ("captured", ["captured"], 1)
    assert change(app, "wire", round=2)["state"] == "captured"


def test_while_the_provider_is_silent_nothing_else_begins(
    app: App, pay: Pay, fake_provider: Any, clock: FixedClock, rows: Any
) -> None:
    fake_provider.silent = True
    pay(app)
    assert change(app)["state"] == "processing"
    assert states(rows, app) == ["processing"]
    fake_provider.silent = False
    clock.advance(minutes=1)
    assert settle_payments(app) == 1
    between = get_intent(app, None, order_id="ord_1")
    assert (between["state"], states(rows, app), names(app)) == ("processing", ["voided"], [])
    assert change(app)["state"] == "captured"


def test_cancelled_between_two_cards(
    app: App, pay: Pay, give_up: Pay, fake_provider: Any, clock: FixedClock, rows: Any
) -> None:
    fake_provider.silent = True
    pay(app)
    change(app)
    fake_provider.silent = False
    clock.advance(minutes=1)
    settle_payments(app)
    assert give_up(app)["state"] == "voided"
    assert change(app)["state"] == "voided", "a change that comes late"
    assert (names(app), fake_provider.captures(), states(rows, app)) == (["payments.voided.v1"], 0, ["voided"])


def test_what_is_cancelled_is_not_turned_into_a_change(
    app: App, pay: Pay, give_up: Pay, fake_provider: Any, clock: FixedClock
) -> None:
    fake_provider.silent = True
    pay(app)
    change(app)
    give_up(app)
    assert change(app)["state"] == "processing"
    fake_provider.silent = False
    clock.advance(minutes=1)
    settle_payments(app)
    assert get_intent(app, None, order_id="ord_1")["state"] == "voided"
    assert names(app) == ["payments.voided.v1"]


def test_a_change_that_comes_late_does_nothing(app: App, pay: Pay, rows: Any) -> None:
    pay(app, PROVIDER_TOKENS["3ds"])
    newest = change(app, "card", "3ds", round=2)
    assert change(app, "wire", round=1) == newest
    assert states(rows, app) == ["voided", "processing"]


def test_the_request_to_collect_comes_after_the_change(app: App, pay: Pay, fake_provider: Any, rows: Any) -> None:
    told = change(app, "check")
    assert (told["state"], told["method"]) == ("requires_action", "check")
    assert pay(app) == told
    assert fake_provider.asked == []
    assert rows(app.database, ATTEMPT) == []


def test_a_declined_card_of_a_later_round_fails_it(app: App, pay: Pay) -> None:
    pay(app, PROVIDER_TOKENS["3ds"])
    failed = change(app, "card", "declined")
    assert (failed["state"], failed["decline"]["code"]) == ("failed", "card_declined")
    assert names(app) == ["payments.failed.v1"]


def _await_and_try(app: App) -> None:
    request = {
        "order_id": "ord_1", "order_number": "PC-2026-000123", "amount": {"amount_minor": 12000, "currency": "USD"},
        "method": "wire", "payer": PAYER,
    }  # fmt: skip
    issue_instructions(app, identity(), **load_request(messages.IssueInstructions(), request))
    pay_by_card(app, identity(), order_id="ord_1", attempt_id="att_first", provider_token=PROVIDER_TOKENS["3ds"])


@pytest.mark.parametrize(("method", "issue"), [("wire", 1), ("check", 2)])
def test_back_to_a_wire_or_a_check(app: App, rows: Any, method: str, issue: int) -> None:
    _await_and_try(app)
    told = change(app, method)
    assert (told["state"], told["method"], told["instructions"]["issue"]) == ("requires_action", method, issue)
    assert states(rows, app) == ["voided"]


def test_from_a_card_in_place_of_a_wire_to_another_card(app: App, rows: Any) -> None:
    _await_and_try(app)
    assert change(app)["state"] == "captured"
    assert states(rows, app) == ["voided", "captured"]


def test_a_late_failure_after_success_is_ignored(app: App, pay: Pay, fake_provider: Any, rows: Any) -> None:
    from payments.domain.provider import Attempt, Declined
    from payments.use_cases.record_outcome import record_outcome

    pay(app)
    [row] = rows(app.database, ATTEMPT)
    [intent] = rows(app.database, INTENT)
    amount = storage.Money(12000, "USD")
    late = Attempt(row["id"], intent["id"], "ord_1", row["provider_key"], "tok", amount, checks=1)
    for outcome in (Declined("card_declined"), Voided()):
        record_outcome(app, late, outcome)
    assert get_intent(app, None, order_id="ord_1")["state"] == "captured"
    assert names(app) == ["payments.captured.v1"]


def test_the_database_takes_no_second_live_attempt(app: App, pay: Pay, rows: Any) -> None:
    pay(app)
    [row] = rows(app.database, ATTEMPT)
    again = {**row, "id": "att_2", "provider_key": "att_2", "provider_charge_id": "ch_other"}
    for state in ("processing", "captured"):
        values = {**again, "state": state, "provider_token": "tok", "next_check_at": row["created_at"]}
        with pytest.raises(IntegrityError), app.database.transaction() as tx:
            tx.execute(sa.insert(ATTEMPT).values(values))


@pytest.mark.parametrize("order_id", ["ord_1", "ord_2"])
def test_another_organisations_order_is_not_found(app: App, pay: Pay, order_id: str, rows: Any) -> None:
    pay(app, PROVIDER_TOKENS["3ds"])
    with pytest.raises(Refusal, match="not_found"):
        change(app, order_id=order_id, caller=identity(organization_id="org_bolt"))
    if order_id == "ord_1":
        with pytest.raises(Refusal, match="not_found"):
            change(app, caller=None, payer={**PAYER, "organization_id": "org_bolt"})
    assert states(rows, app) == ["processing"]


def test_what_is_not_open_or_differs(app: App, pay: Pay) -> None:
    pay(app, PROVIDER_TOKENS["3ds"])
    app.remittances = {}
    with pytest.raises(Refusal, match="payment_method_unavailable"):
        change(app, "wire")
    with pytest.raises(Refusal, match="amount_differs"):
        change(app, amount={"amount_minor": 1, "currency": "USD"})


def test_confirming_and_changing_at_once_is_one_capture(
    migrated: Any, running_provider: Any, app_on: Any, pay: Pay, clock: FixedClock
) -> None:
    """The payer confirms while two tabs pay by other cards and one asks for a wire."""
    app = app_on(migrated("payments", clock), running_provider.client())
    with ThreadPoolExecutor(6) as pool:
        for number in range(4):
            order_id = f"ord_{number}"
            url = pay(app, PROVIDER_TOKENS["3ds"], order_id=order_id)["next_action"]["url"]
            names_of = {"order_id": order_id, "order_number": f"PC-2026-00000{number}"}
            work = [
                pool.submit(change, app, "card", "success", 1, attempt_id=f"att_a{number}", **names_of),
                pool.submit(change, app, "wire", None, 2, attempt_id=f"att_b{number}", **names_of),
                pool.submit(change, app, "card", "slow", 3, attempt_id=f"att_c{number}", **names_of),
                pool.submit(requests.post, url, json={"outcome": "confirm"}, timeout=60),
            ]
            for each in work:
                each.result()
            change(app, "card", "success", 4, attempt_id=f"att_d{number}", **names_of)
            assert get_intent(app, None, order_id=order_id)["state"] == "captured"
            assert len(running_provider.succeeded(order_id)) == 1
    captured = [data["order_id"] for name, data in emitted(app.database) if name == "payments.captured.v1"]
    assert sorted(captured) == [f"ord_{number}" for number in range(4)]
