"""Disputes: what the provider says about them reaches the store once, and staff answer them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.persistence import IntegrityError
from chassis.testing import FixedClock, emitted, identity
from kernel.errors import Refusal
from payments.bootstrap import App
from payments.dispute_storage import DISPUTE
from payments.offline_provider import PROVIDER_TOKENS
from payments.offline_provider.disputes import Disputes
from payments.offline_provider.webhooks import signature
from payments.providers.offline_webhooks import OfflineWebhooks
from payments.use_cases.answer_dispute import answer_dispute
from payments.use_cases.dispute_views import get_dispute, list_disputes
from payments.use_cases.find_orders import find_orders
from payments.use_cases.follow_disputes import follow_disputes, sampler
from payments.use_cases.order_facts import order_facts
from payments.use_cases.order_steps import order_steps
from payments.use_cases.receive_webhook import receive_webhook
from payments.use_cases.refund import refund
from payments.use_cases.settle_payments import settle_payments

Pay = Callable[..., dict[str, Any]]
FINANCE = identity("finance", user_id="usr_fay", organization_id="org_us")


@pytest.fixture
def app(migrated: Any, clock: FixedClock, running_provider: Any, app_on: Any) -> App:
    """On each database, before the offline provider over HTTP."""
    made: App = app_on(migrated("payments", clock), running_provider.client())
    return made


@pytest.fixture
def network(running_provider: Any) -> Disputes:
    """Payers and the card network."""
    return Disputes(running_provider.book)


def told(app: App) -> list[tuple[str, str]]:
    """What the store was told of disputes: events, and what each is about."""
    found = [event for event in emitted(app.database) if event[0].startswith("payments.dispute")]
    return [(name.split(".")[1], data.get("outcome") or data["reason"]) for name, data in found]


def disputed(app: App, network: Disputes, pay: Pay, **how: Any) -> dict[str, Any]:
    """A dispute of a charge of ord_1, as staff see it."""
    assert pay(app)["state"] == "captured"
    [charge] = network._book.by_reference("ord_1")
    network.open(charge["id"], "not_recognized", **how)
    follow_disputes(app)
    [dispute] = list_disputes(app, FINANCE, state=None, order_id="ord_1", limit=10, cursor=None)["items"]
    return dispute


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def test_each_change_is_told_once(app: App, network: Disputes, pay: Pay) -> None:
    dispute = disputed(app, network, pay, amount_minor=5000)
    assert (dispute["state"], dispute["amount"]["amount_minor"], dispute["order_number"]) == ("open", 5000, "O-1")
    assert follow_disputes(app) == 0
    [(_, data)] = [event for event in emitted(app.database) if event[0] == "payments.dispute_opened.v1"]
    assert (data["dispute_id"], data["order_id"]) == (dispute["id"], "ord_1")
    assert (data["amount"]["amount_minor"], data["captured"]["amount_minor"]) == (5000, 12000)
    network.close(dispute["provider_dispute_id"], "won")
    follow_disputes(app)
    follow_disputes(app)
    assert told(app) == [("dispute_opened", "not_recognized"), ("dispute_closed", "won")]
    assert get_dispute(app, FINANCE, id=dispute["id"])["closed_at"] is not None


def test_opened_and_lost_before_anybody_looked_is_told_in_order(app: App, network: Disputes, pay: Pay) -> None:
    pay(app, PROVIDER_TOKENS["disputed"])
    [found] = network.by_reference("ord_1")
    network.close(found["id"], "lost")
    follow_disputes(app)
    assert told(app) == [("dispute_opened", "not_recognized"), ("dispute_closed", "lost")]


def test_one_of_a_charge_that_we_do_not_know_yet_waits_for_it(
    app: App, network: Disputes, pay: Pay, running_provider: Any, clock: FixedClock
) -> None:
    """The answer to the charge was lost, and its payer was quick."""
    app.provider = running_provider.client(read_timeout_s=0.5)
    assert pay(app, PROVIDER_TOKENS["timeout"])["state"] == "processing"
    app.provider = running_provider.client()
    [charge] = network._book.by_reference("ord_1")
    network.open(charge["id"], "fraudulent")
    assert follow_disputes(app) == 1
    assert told(app) == []
    [stray] = list_disputes(app, FINANCE, state="open", order_id="ord_1", limit=10, cursor=None)["items"]
    assert (stray["organization_id"], stray["provider_charge_id"]) == (None, charge["id"])
    clock.advance(seconds=2)
    settle_payments(app)
    follow_disputes(app)
    network.close(stray["provider_dispute_id"], "lost")
    follow_disputes(app)
    assert told(app) == [("dispute_opened", "fraudulent"), ("dispute_closed", "lost")]


def test_many_that_look_at_once_tell_it_once(app: App, network: Disputes, pay: Pay) -> None:
    pay(app, PROVIDER_TOKENS["disputed"])
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: follow_disputes(app), range(6)))
        [found] = network.by_reference("ord_1")
        network.close(found["id"], "lost")
        list(pool.map(lambda _: follow_disputes(app), range(6)))
    assert told(app) == [("dispute_opened", "not_recognized"), ("dispute_closed", "lost")]


def test_nonsense_changes_nothing(app: App, network: Disputes, pay: Pay, scripted: Any, rows: Any) -> None:
    dispute = disputed(app, network, pay)
    before = rows(app.database, DISPUTE)
    app.provider = scripted.client()
    item = {
        "id": dispute["provider_dispute_id"], "charge_id": "ch_1", "reference": "ord_1", "amount_minor": 12000,
        "currency": "USD", "reason": "x", "status": "lost", "evidence_due_at": "2026-12-06T12:00:00.000Z",
        "created_at": "2026-11-22T12:00:00.000Z", "closed_at": None,
    }  # fmt: skip
    refusal = {"error": {"code": "unknown_dispute", "message": "There is none."}}  # we ask with another account's key
    answers = (
        (500, {}), (404, refusal), (422, refusal),
        (200, {"items": [item], "last": 9}), (200, {"items": []}), (200, None),
    )  # fmt: skip
    for status, body in answers:
        scripted.status, scripted.body = status, json.dumps(body)
        assert follow_disputes(app) == 0
        assert refused(lambda: answer_dispute(app, FINANCE, idempotency_key="n", id=dispute["id"])) == "unavailable"
    assert rows(app.database, DISPUTE) == before


def test_a_webhook_has_it_looked_at_at_once(app: App) -> None:
    looked: list[str] = []
    app.webhooks, app.follow_disputes_soon = OfflineWebhooks(("whsec",)), lambda: looked.append("now")
    event = {"id": "evt_1", "type": "dispute.opened", "data": {"charge": {"idempotency_key": "k"}, "dispute": {}}}
    body = json.dumps(event).encode()
    header = signature(body, int(app.database.clock.now().timestamp()), "whsec")
    for _ in range(2):  # the second one is no news
        receive_webhook(app, body=base64.b64encode(body).decode(), signature=header)
    assert looked == ["now"]


def test_evidence_is_sent_once_for_a_key_and_audited(app: App, network: Disputes, pay: Pay) -> None:
    dispute = disputed(app, network, pay)
    words = {"idempotency_key": "k", "id": dispute["id"], "evidence": "They claimed the card."}
    first = answer_dispute(app, FINANCE, **words)
    assert (first["dispute"]["evidence"], first["replayed"]) == ("They claimed the card.", False)
    assert answer_dispute(app, FINANCE, **words) == {**first, "replayed": True}
    assert refused(lambda: answer_dispute(app, FINANCE, **{**words, "evidence": "Other words."})) == (
        "idempotency_key_reused"
    )
    sent = network._book.execute("SELECT text FROM dispute_evidence", ()).fetchall()
    assert [row["text"] for row in sent] == ["They claimed the card."]
    assert audited(app) == ["dispute.evidence_sent"]


def test_an_answer_that_got_lost_is_given_again(
    app: App, network: Disputes, pay: Pay, scripted: Any, running_provider: Any
) -> None:
    dispute = disputed(app, network, pay)
    scripted.status, app.provider = 500, scripted.client()
    accept = {"idempotency_key": "k", "id": dispute["id"]}
    assert refused(lambda: answer_dispute(app, FINANCE, **accept)) == "unavailable"
    app.provider = running_provider.client()
    network.close(dispute["provider_dispute_id"], "lost")  # it had arrived
    follow_disputes(app)
    answered = answer_dispute(app, FINANCE, **accept)
    assert (answered["dispute"]["state"], answered["replayed"]) == ("lost", False)
    assert audited(app) == ["dispute.accepted"]


def test_what_is_decided_is_not_answered(app: App, network: Disputes, pay: Pay) -> None:
    dispute = disputed(app, network, pay)
    network.close(dispute["provider_dispute_id"], "won")
    late = {"idempotency_key": "late", "id": dispute["id"], "evidence": "Too late."}
    for _ in range(2):  # we do not know yet, but the provider does
        assert refused(lambda: answer_dispute(app, FINANCE, **late)) == "dispute_over"
    follow_disputes(app)
    assert refused(lambda: answer_dispute(app, FINANCE, idempotency_key="l2", id=dispute["id"])) == "dispute_over"
    assert refused(lambda: answer_dispute(app, FINANCE, idempotency_key="l3", id="dsp_x")) == "not_found"


@pytest.mark.parametrize("role", ["ticket", "viewer", "buyer", "admin", "support"])
def test_only_finance_answers_and_only_staff_look(app: App, network: Disputes, pay: Pay, role: str) -> None:
    dispute, caller = disputed(app, network, pay), identity(role)
    assert refused(lambda: answer_dispute(app, caller, idempotency_key="k", id=dispute["id"])) == "forbidden"
    if role != "support":
        assert refused(lambda: get_dispute(app, caller, id=dispute["id"])) == "forbidden"
        wanted = {"state": None, "order_id": None, "limit": 10, "cursor": None}
        assert refused(lambda: list_disputes(app, caller, **wanted)) == "forbidden"


def test_a_disputed_charge_is_not_refunded_as_well(app: App, network: Disputes, pay: Pay) -> None:
    disputed(app, network, pay)
    answer = refund(
        app, FINANCE, refund_id="rfd_1", order_id="ord_1", amount={"amount_minor": 100, "currency": "USD"}, reason="x"
    )
    assert (answer["state"], answer["failure_code"]) == ("failed", "charge_disputed")


def test_facts_steps_and_gauges_know_it(app: App, network: Disputes, pay: Pay) -> None:
    gauges = {name: value for name, _, value in sampler(app)()}
    assert gauges == {"punchcard_disputes_open": 0}
    dispute = disputed(app, network, pay)
    [fact] = order_facts(app, FINANCE, limit=10, cursor=None)["items"]
    assert fact["dispute"] == "open"
    gauges = {name: value for name, _, value in sampler(app)()}
    assert gauges["punchcard_disputes_open"] == 1
    assert "punchcard_disputes_evidence_due_seconds" in gauges
    provider_id = dispute["provider_dispute_id"]
    assert find_orders(app, FINANCE, provider_id=provider_id) == {"order_ids": ["ord_1"]}
    assert find_orders(app, FINANCE, provider_id="dp_of_nobody") == {"order_ids": []}
    answer_dispute(app, FINANCE, idempotency_key="k", id=dispute["id"], evidence="They claimed the card.")
    network.close(dispute["provider_dispute_id"], "lost")
    follow_disputes(app)
    with app.database.reading() as reader:
        steps = [step.what for step in order_steps(reader, "ord_1", None)]
    assert steps[-2:] == ["payment.disputed", "payment.dispute_lost"]


@pytest.mark.parametrize("answered", [True, False])
def test_a_deadline_that_nobody_can_meet_any_more_alerts_nobody(
    app: App, network: Disputes, pay: Pay, clock: FixedClock, *, answered: bool
) -> None:
    dispute = disputed(app, network, pay)
    if answered:
        answer_dispute(app, FINANCE, idempotency_key="k", id=dispute["id"], evidence="They claimed the card.")
    else:
        [_, (_, _, due_in_s)] = sampler(app)()
        clock.advance(seconds=due_in_s)
    assert list(sampler(app)()) == [("punchcard_disputes_open", (), 1)]


def test_the_database_keeps_open_and_closed_apart(app: App, network: Disputes, pay: Pay) -> None:
    dispute = disputed(app, network, pay)
    for change in ("state = 'lost'", "state = 'maybe'", "evidence = 'x'", "amount_minor = 0"):
        with pytest.raises(IntegrityError), app.database.engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE dispute SET {change} WHERE id = '{dispute['id']}'"))


def audited(app: App) -> list[str]:
    with app.database.engine.connect() as connection:
        return list(connection.scalars(sa.text("SELECT action FROM audit_entry ORDER BY id")))
