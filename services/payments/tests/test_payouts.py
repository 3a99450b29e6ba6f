"""Money that staff send back by bank, and what becomes of money that had nothing to pay for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chassis.messages import dump_checked, load_request
from chassis.persistence import Database
from chassis.testing import FixedClock, emitted, identity
from kernel.errors import Refusal
from payments import messages
from payments.bootstrap import App
from payments.use_cases.issue_instructions import issue_instructions
from payments.use_cases.list_review import list_review
from payments.use_cases.order_facts import order_facts
from payments.use_cases.record_payout import list_payouts, record_payout
from payments.use_cases.record_receipt import record_receipt
from payments.use_cases.refund import refund
from payments.use_cases.settle_surplus import settle_surplus

FAY = identity("finance", user_id="usr_fay", organization_id="org_punchcard")
DUE = 12000


@pytest.fixture
def app(
    migrated: Callable[..., Database], app_on: Callable[..., App], clock: FixedClock, fake_provider: Any
) -> App:  # fmt: skip
    return app_on(migrated("payments", clock), fake_provider)


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


def await_money(app: App, number: int = 1, organization_id: str = "org_acme") -> None:
    request = {
        "order_id": f"ord_{number}", "order_number": f"PC-2026-00000{number}", "amount": usd(DUE), "method": "wire",
        "payer": {
            "organization_id": organization_id, "user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada",
            "language": "en", "organization": "Acme",
        },
    }  # fmt: skip
    issue_instructions(app, None, **load_request(messages.IssueInstructions(), request))


def receive(app: App, amount_minor: int = DUE, number: int = 1, bank_reference: str = "IN-1") -> dict[str, Any]:
    request = {
        "idempotency_key": bank_reference, "method": "wire", "amount": usd(amount_minor), "received_on": "2026-11-22",
        "bank_reference": bank_reference, "order_id": f"ord_{number}",
    }  # fmt: skip
    payment: dict[str, Any] = record_receipt(app, FAY, **load_request(messages.RecordReceipt(), request))["payment"]
    return payment


def give_back(app: App, amount_minor: int = DUE, refund_id: str = "rfd_1") -> dict[str, Any]:
    reply = refund(app, None, refund_id=refund_id, order_id="ord_1", amount=usd(amount_minor), reason="Twice")
    return dump_checked(messages.RefundReply(), reply)


def pay_out(app: App, bank_reference: str = "OUT-1", key: str = "key-1", refund_id: str = "rfd_1") -> dict[str, Any]:
    request = {
        "idempotency_key": key, "refund_id": refund_id, "bank_reference": bank_reference, "paid_on": "2026-11-23",
    }  # fmt: skip
    reply = record_payout(app, FAY, **load_request(messages.RecordPayout(), request))
    return dump_checked(messages.PaidOutReply(), reply)


def settle(app: App, surplus_id: str, key: str = "key-1", **how: Any) -> dict[str, Any]:
    request = load_request(messages.SettleSurplus(), {"idempotency_key": key, "id": surplus_id, **how})
    return dump_checked(messages.SettledReply(), settle_surplus(app, FAY, **request))


def review(app: App, **filters: Any) -> list[dict[str, Any]]:
    request = load_request(messages.ListReview(), filters)
    items: list[dict[str, Any]] = dump_checked(messages.ReviewList(), list_review(app, FAY, **request))["items"]
    return items


def code_of(call: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    with pytest.raises(Refusal) as refused:
        call(*arguments, **more)
    return refused.value.code


def test_a_refund_of_a_wire_waits_for_its_payout(app: App) -> None:
    await_money(app)
    receive(app)
    assert [give_back(app)["state"] for _ in range(2)] == ["awaiting_payout"] * 2
    [waits] = list_payouts(app, FAY, state="waiting", limit=10, cursor=None)["items"]
    assert (waits["id"], waits["amount"], waits["state"]) == ("rfd_1", usd(DUE), "waiting")
    paid = pay_out(app)
    assert (paid["payout"]["state"], paid["payout"]["recorded_by"]) == ("paid", "usr_fay")
    assert pay_out(app) == {**paid, "replayed": True}
    assert code_of(pay_out, app, key="key-2") == "payout_already_recorded"
    assert give_back(app)["state"] == "succeeded"
    said = [data for name, data in emitted(app.database) if name == "payments.refunded.v1"]
    assert [(each["refund_id"], each["amount"], each["provider_refund_id"]) for each in said] == [
        ("rfd_1", usd(DUE), "OUT-1")
    ]
    [fact] = order_facts(app, FAY, limit=10, cursor=None)["items"]
    assert fact["refunded_minor"] == DUE


def test_no_more_is_sent_than_came_for_the_order(app: App) -> None:
    await_money(app)
    assert code_of(give_back, app) == "not_captured"
    receive(app)
    give_back(app, 7000)
    assert code_of(give_back, app, 7000, "rfd_2") == "refund_exceeds_payment"
    assert code_of(give_back, app, 6000) == "refund_differs"
    give_back(app, 5000, "rfd_2")
    pay_out(app)
    assert code_of(pay_out, app, "out 1", "key-2", "rfd_2") == "bank_reference_used"
    assert code_of(pay_out, app, "OUT-2", "key-2", "rfd_none") == "not_found"


def test_two_clerks_pay_out_once(app: App) -> None:
    await_money(app)
    receive(app)
    give_back(app)

    def attempt(number: int) -> str:
        try:
            pay_out(app, f"OUT-{number}", f"key-{number}")
        except Refusal as refusal:
            return refusal.code
        return "paid"

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(attempt, range(6)))
    assert outcomes == ["paid", *["payout_already_recorded"] * 5]
    assert [name for name, _ in emitted(app.database)].count("payments.refunded.v1") == 1


def test_too_much_is_used_for_another_order_of_the_organization(app: App) -> None:
    await_money(app)
    await_money(app, 2)
    receive(app, DUE + 5000)
    [surplus] = review(app, settled=False)
    assert (surplus["reason"], surplus["amount"], surplus["settlement"]) == ("overpaid", usd(5000), None)
    used = settle(app, surplus["id"], order_id="ord_2")
    assert (used["settlement"], used["payment"]["received"], used["payment"]["remaining"]) == (
        "used", usd(5000), usd(7000),
    )  # fmt: skip
    assert settle(app, surplus["id"], order_id="ord_2") == {**used, "replayed": True}
    assert code_of(settle, app, surplus["id"], "key-2", order_id="ord_2") == "surplus_settled"
    assert (review(app, settled=False), [each["settlement"] for each in review(app, settled=True)]) == ([], ["used"])
    assert receive(app, 7000, 2, "IN-2")["state"] == "captured"


def test_what_came_too_late_is_sent_back(app: App) -> None:
    await_money(app)
    receive(app)
    receive(app, 300, 1, "IN-2")
    [surplus] = review(app)
    sent = {"bank_reference": "OUT-1", "paid_on": "2026-11-23"}
    assert settle(app, surplus["id"], **sent)["settlement"] == "returned"
    assert code_of(settle, app, surplus["id"], "key-2", **sent) == "surplus_settled"
    [payout] = list_payouts(app, FAY, state="paid", limit=10, cursor=None)["items"]
    assert (payout["kind"], payout["amount"], payout["bank_reference"]) == ("surplus", usd(300), "OUT-1")
    [fact] = order_facts(app, FAY, limit=10, cursor=None)["items"]
    assert fact["refunded_minor"] == 0, "it never paid for the order"


def test_a_surplus_is_not_used_where_it_cannot_be(app: App) -> None:
    await_money(app)
    await_money(app, 2, "org_bolt")
    await_money(app, 3)
    receive(app, DUE + 5000)
    receive(app, DUE, 3, "IN-3")
    [surplus] = review(app, order_id="ord_1")
    assert code_of(settle, app, surplus["id"], order_id="ord_2") == "not_found"
    assert code_of(settle, app, surplus["id"], order_id="ord_none") == "not_found"
    assert code_of(settle, app, surplus["id"], order_id="ord_3") == "order_awaits_no_money"
    assert code_of(settle, app, "srp_none", order_id="ord_3") == "not_found"
    assert code_of(settle, app, surplus["id"]) == "validation_failed"
    assert len(review(app, settled=False)) == 1


def test_two_clerks_settle_a_surplus_once(app: App) -> None:
    await_money(app)
    await_money(app, 2)
    receive(app, DUE + DUE)
    [surplus] = review(app)

    def attempt(number: int) -> str:
        how = {"order_id": "ord_2"} if number % 2 else {"bank_reference": f"OUT-{number}", "paid_on": "2026-11-23"}
        try:
            return str(settle(app, surplus["id"], f"key-{number}", **how)["settlement"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(attempt, range(6)))
    assert outcomes.count("surplus_settled") == 5


@pytest.mark.parametrize("role", ["viewer", "buyer", "admin", "support"])
def test_only_finance_moves_money(app: App, role: str) -> None:
    someone = identity(role)
    assert code_of(
        record_payout, app, someone, idempotency_key="k", refund_id="r", bank_reference="b", paid_on=None
    ) == ("forbidden")
    assert code_of(settle_surplus, app, someone, idempotency_key="k", id="srp_1", order_id="ord_1") == "forbidden"
