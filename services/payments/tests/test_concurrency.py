"""Many at once, on both databases and the real provider over HTTP; locks on the real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chassis.testing import FixedClock, emitted
from payments import storage
from payments.offline_provider import PROVIDER_TOKENS
from payments.use_cases.get_intent import get_intent
from payments.use_cases.settle_payments import settle_payments

Pay = Callable[..., dict[str, Any]]
CALLERS = 20


def _all_at_once(work: Callable[[int], Any], count: int = CALLERS) -> list[Any]:
    barrier = threading.Barrier(count, timeout=60)

    def run(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("token", ["success", "slow", "declined"])
def test_twenty_collects_of_one_order_are_one_charge(
    migrated: Any, running_provider: Any, app_on: Any, pay: Pay, token: str
) -> None:
    """Each comes with a token of its own, as twenty browser tabs would."""
    app = app_on(migrated("payments"), running_provider.client())

    replies = _all_at_once(lambda _: pay(app, PROVIDER_TOKENS[token]))

    final = get_intent(app, None, order_id="ord_1")
    assert final["state"] == ("failed" if token == "declined" else "captured")
    assert {reply["state"] for reply in replies} <= {final["state"], "processing"}
    assert final["state"] in {reply["state"] for reply in replies}
    assert {reply["intent_id"] for reply in replies} == {final["intent_id"]}
    assert len(running_provider.book.by_reference("ord_1")) == 1
    assert len(emitted(app.database)) == 1


def test_a_timeout_after_charging_is_settled_exactly_once_by_many_processes(
    migrated: Any, running_provider: Any, app_on: Any, pay: Pay, clock: FixedClock
) -> None:
    app = app_on(migrated("payments", clock), running_provider.client(read_timeout_s=1.0))
    assert pay(app, PROVIDER_TOKENS["timeout"])["state"] == "processing"
    app.provider = running_provider.client()
    clock.advance(seconds=2)

    settled = _all_at_once(lambda _: settle_payments(app), 8)

    assert sum(settled) == 1
    reply = get_intent(app, None, order_id="ord_1")
    [charge] = running_provider.book.by_reference("ord_1")
    [(name, data)] = emitted(app.database)
    assert reply["state"] == "captured"
    assert name == "payments.captured.v1"
    assert data["provider_charge_id"] == charge["id"]
    assert data["captured_at"] == charge["created_at"]


def test_a_crash_between_charge_and_commit_leaves_one_charge_in_the_book(
    migrated: Any, running_provider: Any, app_on: Any, pay: Pay, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(migrated("payments", clock), running_provider.client())
    with monkeypatch.context() as patch:
        patch.setattr("payments.use_cases.collect.record_outcome", _die)
        with pytest.raises(KeyboardInterrupt):
            pay(app)
    assert len(running_provider.succeeded("ord_1")) == 1
    assert emitted(app.database) == []

    clock.advance(seconds=10)
    assert settle_payments(app) == 1

    assert get_intent(app, None, order_id="ord_1")["state"] == "captured"
    assert len(running_provider.book.by_reference("ord_1")) == 1
    assert len(emitted(app.database)) == 1


def _die(*_: Any) -> Any:
    raise KeyboardInterrupt


def test_two_that_settle_the_same_attempt_emit_one_event(
    migrated: Any, app_on: Any, fake_provider: Any, pay: Pay, clock: FixedClock
) -> None:
    """The first lost its lease, and comes back with its answer after the second has settled."""
    from payments.use_cases.settle_payments import settle_attempt

    app = app_on(migrated("payments", clock), fake_provider)
    pay(app, PROVIDER_TOKENS["timeout"])
    clock.advance(seconds=2)
    with app.database.transaction() as tx:
        first = storage.claim_due_attempt(tx, app.lease)
    clock.advance(seconds=10)
    with app.database.transaction() as tx:
        second = storage.claim_due_attempt(tx, app.lease)
    assert first is not None
    assert second is not None
    assert (second.key, second.checks) == (first.key, first.checks + 1)

    settle_attempt(app, second)
    settle_attempt(app, first)

    assert len(emitted(app.database)) == 1


def test_a_claimed_attempt_is_skipped_not_waited_for(
    migrated_postgres: Any, app_on: Any, fake_provider: Any, pay: Pay, clock: FixedClock
) -> None:
    app = app_on(migrated_postgres("payments", clock), fake_provider)
    for order_id in ("ord_1", "ord_2"):
        pay(app, PROVIDER_TOKENS["timeout"], order_id=order_id)
    clock.advance(seconds=2)

    with app.database.transaction() as one, app.database.transaction() as other:
        other.connection.exec_driver_sql("SET LOCAL lock_timeout = '20s'")
        first = storage.claim_due_attempt(one, app.lease)
        second = storage.claim_due_attempt(other, app.lease)
        assert storage.claim_due_attempt(other, app.lease) is None

    assert first is not None
    assert second is not None
    assert {first.order_id, second.order_id} == {"ord_1", "ord_2"}
