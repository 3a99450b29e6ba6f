"""Money that the provider took for an attempt that was over: found, shown, and given back once by itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.persistence.tables import AUDIT_ENTRY
from chassis.testing import FixedClock, emitted, identity
from kernel.money import Money
from payments.bootstrap import App
from payments.domain.provider import Attempt, Captured, Card, Refunded, RefundRefused, Unknown
from payments.offline_provider import PROVIDER_TOKENS
from payments.offline_provider.webhooks import signature
from payments.providers.offline_webhooks import OfflineWebhooks
from payments.storage import ATTEMPT
from payments.stray_storage import STRAY
from payments.use_cases.change_payment import change_payment
from payments.use_cases.find_orders import find_orders
from payments.use_cases.list_review import list_review
from payments.use_cases.order_facts import order_facts
from payments.use_cases.order_steps import order_steps
from payments.use_cases.receive_webhook import receive_webhook
from payments.use_cases.record_outcome import record_outcome
from payments.use_cases.return_strays import return_strays
from payments.use_cases.settle_payments import settle_payments

Pay = Callable[..., dict[str, Any]]
SECRET = "the provider's"
CAPTURED = Captured("ch_stray", Money(12000, "USD"), Card("visa", "4242"), datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def watching(app: App) -> App:
    """An app that believes the provider and sees to strays as soon as it is told."""
    return listening(app)


def listening(app: App) -> App:
    app.webhooks = OfflineWebhooks((SECRET,))
    app.return_strays_soon = lambda: return_strays(app)
    return app


def tell(app: App, key: str, kind: str = "charge.succeeded", event_id: str = "evt_1") -> None:
    body = json.dumps({"id": event_id, "type": kind, "data": {"charge": {"idempotency_key": key}}}).encode()
    header = signature(body, int(app.database.clock.now().timestamp()), SECRET)
    receive_webhook(app, body=base64.b64encode(body).decode(), signature=header)


def voided(app: App, pay: Pay, give_up: Pay, provider: Any, rows: Any) -> str:
    """The key of an attempt that the provider has confirmed to be void."""
    provider.silent = True
    pay(app)
    provider.silent = False
    assert give_up(app)["state"] == "voided"
    key: str = rows(app.database, ATTEMPT)[-1]["provider_key"]
    return key


def review(app: App, **which: Any) -> list[dict[str, Any]]:
    wanted: dict[str, Any] = {"reason": None, "order_id": None, "settled": None, "limit": 20, "cursor": None, **which}
    found: list[dict[str, Any]] = list_review(app, identity(role="finance"), **wanted)["items"]
    return found


def facts(app: App) -> dict[str, Any]:
    (fact,) = order_facts(app, identity(role="finance"), limit=10, cursor=None)["items"]
    return {name: fact[name] for name in ("state", "captures", "refunded_minor", "strays", "strays_returned")}


def audited(app: App, rows: Any) -> list[str]:
    """What the store itself did, as its trail says."""
    return [line["action"] for line in rows(app.database, AUDIT_ENTRY) if line["actor_id"] is None]


def test_what_is_taken_after_a_void_is_given_back_and_the_order_stays_as_it_is(
    watching: App, pay: Pay, give_up: Pay, fake_provider: Any, rows: Any
) -> None:
    key = voided(watching, pay, give_up, fake_provider, rows)
    before = emitted(watching.database)
    fake_provider.book[key] = CAPTURED

    for number in range(3):
        tell(watching, key, event_id=f"evt_{number}")
        return_strays(watching)

    (given,) = fake_provider.refunds.values()
    assert (given.amount, fake_provider.captures()) == (CAPTURED.amount, 1)
    assert [asked for asked, _ in fake_provider.asked].count("refund") == 1
    assert facts(watching) == {
        "state": "voided", "captures": 0, "refunded_minor": 0, "strays": 1, "strays_returned": 1
    }  # fmt: skip
    assert emitted(watching.database) == before
    (listed,) = review(watching, reason="stray_capture", settled=True)
    assert (listed["amount"], listed["settlement"], listed["receipt"]) == (
        CAPTURED.amount.as_dict(), "returned", None,
    )  # fmt: skip
    assert listed["charge"] == {
        "order_id": "ord_1", "order_number": "O-1", "provider_charge_id": "ch_stray", "state": "returned",
    }  # fmt: skip
    with watching.database.reading() as reader:
        steps = [step.what for step in order_steps(reader, "ord_1", "org_acme")]
    assert steps[-2:] == ["payment.stray_captured", "payment.stray_returned"]
    assert audited(watching, rows) == ["stray_capture.found", "stray_capture.returned"]
    found = find_orders(
        watching, identity(role="finance"), last4=None, provider_id="ch_stray", reference=None, bank_reference=None
    )
    assert found["order_ids"] == ["ord_1"]


def test_it_is_on_the_list_while_the_provider_is_silent(
    watching: App, pay: Pay, give_up: Pay, fake_provider: Any, rows: Any, clock: FixedClock
) -> None:
    key = voided(watching, pay, give_up, fake_provider, rows)
    fake_provider.book[key] = CAPTURED
    fake_provider.silent = True
    tell(watching, key)
    assert review(watching) == [], "nobody knows yet whether it is true"
    clock.advance(minutes=1)
    fake_provider.silent = False
    fake_provider.refund = lambda *_: Unknown("silent")
    return_strays(watching)
    assert [item["charge"]["state"] for item in review(watching, settled=False)] == ["returning"]
    assert facts(watching)["strays_returned"] == 0
    del fake_provider.refund
    clock.advance(minutes=1)
    return_strays(watching)
    assert (review(watching, settled=False), facts(watching)["strays_returned"]) == ([], 1)


def test_a_crash_after_the_provider_gave_it_back_gives_nothing_back_twice(
    watching: App, pay: Pay, give_up: Pay, fake_provider: Any, rows: Any, clock: FixedClock
) -> None:
    key = voided(watching, pay, give_up, fake_provider, rows)
    fake_provider.book[key] = CAPTURED
    give_back = fake_provider.refund

    def given_and_dead(*asked: Any) -> Any:
        give_back(*asked)
        raise KeyboardInterrupt

    fake_provider.refund = given_and_dead
    with pytest.raises(KeyboardInterrupt):
        tell(watching, key)
    fake_provider.refund = give_back
    return_strays(watching)
    assert facts(watching)["strays_returned"] == 0, "it is still the dead one's"
    clock.advance(minutes=1)
    return_strays(watching)
    assert (len(fake_provider.refunds), facts(watching)["strays_returned"]) == (1, 1)


def test_a_claim_that_is_not_true_changes_nothing(
    watching: App, pay: Pay, give_up: Pay, fake_provider: Any, rows: Any
) -> None:
    key = voided(watching, pay, give_up, fake_provider, rows)
    tell(watching, key)
    tell(watching, key, "charge.voided", "evt_2")
    tell(watching, "nobody's", event_id="evt_3")
    assert (rows(watching.database, STRAY), review(watching), fake_provider.refunds) == ([], [], {})
    fake_provider.book[key] = CAPTURED  # and later it is
    tell(watching, key, event_id="evt_4")
    assert facts(watching)["strays_returned"] == 1


def test_a_capture_that_pays_its_order_is_no_stray(watching: App, pay: Pay, fake_provider: Any, rows: Any) -> None:
    assert pay(watching)["state"] == "captured"
    tell(watching, rows(watching.database, ATTEMPT)[0]["provider_key"])
    assert (rows(watching.database, STRAY), fake_provider.refunds) == ([], {})


def test_the_answer_to_a_charge_that_comes_after_its_void_is_a_report_too(
    watching: App, pay: Pay, give_up: Pay, fake_provider: Any, rows: Any
) -> None:
    key = voided(watching, pay, give_up, fake_provider, rows)
    fake_provider.book[key] = CAPTURED
    (row,) = rows(watching.database, ATTEMPT)
    late = Attempt(row["id"], row["intent_id"], "ord_1", key, "tok", CAPTURED.amount, checks=0)
    record_outcome(watching, late, CAPTURED)
    assert facts(watching) == {
        "state": "voided", "captures": 0, "refunded_minor": 0, "strays": 1, "strays_returned": 1
    }  # fmt: skip


def test_what_the_provider_will_not_give_back_is_a_persons(
    watching: App, pay: Pay, give_up: Pay, fake_provider: Any, rows: Any, clock: FixedClock
) -> None:
    key = voided(watching, pay, give_up, fake_provider, rows)
    fake_provider.book[key] = CAPTURED
    fake_provider.refund = lambda *_: RefundRefused("refund_exceeds_charge")
    tell(watching, key)
    clock.advance(days=1)
    return_strays(watching)
    (left,) = review(watching, settled=False)
    assert (left["charge"]["state"], facts(watching)["strays_returned"]) == ("refused", 0)
    assert audited(watching, rows)[-1] == "stray_capture.refused"


def test_told_many_times_at_once_it_is_given_back_once(
    migrated: Any, app_on: Any, pay: Pay, give_up: Pay, fake_provider: Any, rows: Any
) -> None:
    app = listening(app_on(migrated("payments"), fake_provider))
    key = voided(app, pay, give_up, fake_provider, rows)
    fake_provider.book[key] = CAPTURED
    with ThreadPoolExecutor(8) as pool:
        for told in [pool.submit(tell, app, key, event_id=f"evt_{number}") for number in range(8)]:
            told.result()
    return_strays(app)
    assert [type(given) for given in fake_provider.refunds.values()] == [Refunded]
    assert facts(app)["strays_returned"] == 1
    assert len(rows(app.database, STRAY)) == 1


def test_the_card_that_was_replaced_is_given_back_and_the_one_that_paid_is_not(
    watching: App, pay: Pay, fake_provider: Any, rows: Any
) -> None:
    """Voided for another card, which has paid; then the first one is charged all the same."""
    assert pay(watching, PROVIDER_TOKENS["3ds"])["state"] == "processing"
    (first,) = rows(watching.database, ATTEMPT)
    paid = change_payment(
        watching, None, order_id="ord_1", order_number="O-1", amount={"amount_minor": 12000, "currency": "USD"},
        method="card", payer={"organization_id": "org_acme", "user_id": "usr_ada"}, round=1, attempt_id="att_2",
        provider_token=PROVIDER_TOKENS["success"],
    )  # fmt: skip
    assert paid["state"] == "captured"
    fake_provider.book[first["provider_key"]] = CAPTURED
    tell(watching, first["provider_key"])
    assert settle_payments(watching) == 0
    assert facts(watching) == {
        "state": "captured", "captures": 1, "refunded_minor": 0, "strays": 1, "strays_returned": 1
    }  # fmt: skip
