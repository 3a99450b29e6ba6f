"""What the database itself refuses, on both kinds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from chassis.persistence import Database
from payments.invoice_storage import DOCUMENT, SERIES
from payments.payment_method_storage import PAYMENT_METHOD
from payments.remittance_storage import INSTRUCTIONS, RECEIPT, SURPLUS
from payments.storage import ATTEMPT, INTENT, METADATA

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_INTENT = {
    "id": "pay_1", "order_id": "ord_1", "order_number": "O-1", "organization_id": "org_acme", "user_id": "usr_ada",
    "method": "card", "amount_minor": 12000, "currency": "USD", "state": "processing", "created_at": NOW,
    "updated_at": NOW,
}  # fmt: skip
_ATTEMPT = {
    "id": "att_1", "intent_id": "pay_1", "provider_key": "key_1", "provider_token": "tok_1", "state": "processing",
    "checks": 0, "next_check_at": NOW, "created_at": NOW, "updated_at": NOW,
}  # fmt: skip
_SECOND = {"id": "att_2", "provider_key": "key_2"}
_PROOF = {"provider_charge_id": "ch_1", "card_brand": "visa", "card_last4": "4242", "captured_at": NOW}


@pytest.fixture
def database(migrated: Any) -> Database:
    made: Database = migrated("payments")
    with made.transaction() as tx:
        tx.execute(sa.insert(INTENT).values(_INTENT))
    return made


def _insert(database: Database, table: sa.Table, values: dict[str, Any]) -> None:
    with database.transaction() as tx:
        tx.execute(sa.insert(table).values(values))


def test_the_migrations_make_what_the_queries_expect(database: Database) -> None:
    tables = (INTENT, ATTEMPT, INSTRUCTIONS, RECEIPT, SURPLUS, DOCUMENT, SERIES, PAYMENT_METHOD)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        inspector = sa.inspect(connection)
        names = {check["name"] for table in tables for check in inspector.get_check_constraints(table.name)}
    declared = {
        constraint.name
        for table in tables
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }
    assert names == declared


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "ord_1"},
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"state": "paid"},
        {"currency": None},
    ],
    ids=str,
)
def test_an_intent_that_must_not_be(database: Database, change: dict[str, Any]) -> None:
    good = {**_INTENT, "id": "pay_2", "order_id": "ord_2"}
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, INTENT, {**good, **change})
    _insert(database, INTENT, good)


@pytest.mark.parametrize(
    "change",
    [
        {"intent_id": "pay_nobody"},
        {"state": "paid"},
        {"provider_token": None},
        {"next_check_at": None},
        {"state": "failed"},
        *({"state": "captured", **_PROOF, missing: None} for missing in _PROOF),
    ],
    ids=str,
)
def test_an_attempt_that_must_not_be(database: Database, change: dict[str, Any]) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, ATTEMPT, {**_ATTEMPT, **change})
    _insert(database, ATTEMPT, _ATTEMPT)


@pytest.mark.parametrize("second", ["processing", "requires_action", "captured"])
@pytest.mark.parametrize("first", ["processing", "requires_action", "captured"])
def test_one_attempt_is_live_or_captured(database: Database, first: str, second: str) -> None:
    _insert(database, ATTEMPT, {**_ATTEMPT, **_PROOF, "state": first})
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, ATTEMPT, {**_ATTEMPT, **_PROOF, **_SECOND, "provider_charge_id": "ch_2", "state": second})


def test_after_a_failed_attempt_another_is_possible_with_another_key(database: Database) -> None:
    _insert(database, ATTEMPT, {**_ATTEMPT, "state": "failed", "decline_code": "card_declined"})
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, ATTEMPT, {**_ATTEMPT, **_SECOND, "provider_key": "key_1"})
    _insert(database, ATTEMPT, {**_ATTEMPT, **_SECOND})


def test_one_charge_of_the_provider_pays_one_intent(database: Database) -> None:
    _insert(database, INTENT, {**_INTENT, "id": "pay_2", "order_id": "ord_2"})
    _insert(database, ATTEMPT, {**_ATTEMPT, **_PROOF, "state": "captured"})
    other = {**_ATTEMPT, **_SECOND, "intent_id": "pay_2", "state": "captured", **_PROOF}
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, ATTEMPT, other)
    _insert(database, ATTEMPT, {**other, "provider_charge_id": "ch_2"})


_RECEIPT = {
    "id": "rct_1", "intent_id": "pay_1", "method": "wire", "bank_reference": "B 1", "bank_key": "B1",
    "amount_minor": 12000, "currency": "USD", "received_on": NOW.date(), "completes": True, "recorded_by": "usr_fay",
    "recorded_at": NOW,
}  # fmt: skip
_SURPLUS = {
    "id": "srp_1", "receipt_id": "rct_1", "amount_minor": 1, "currency": "USD", "reason": "overpaid", "noted_at": NOW,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"bank_key": "B1"},
        {"completes": True},
        {"amount_minor": 0},
        {"method": "card"},
        {"intent_id": "pay_nobody"},
    ],
    ids=str,
)
def test_a_receipt_that_must_not_be(database: Database, change: dict[str, Any]) -> None:
    _insert(database, RECEIPT, _RECEIPT)
    good = {**_RECEIPT, "id": "rct_2", "bank_key": "B2", "completes": False}
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, RECEIPT, {**good, **change})
    _insert(database, RECEIPT, good)
    _insert(database, RECEIPT, {**good, "id": "rct_3", "method": "check", "bank_key": "B1"})


@pytest.mark.parametrize("change", [{"amount_minor": 0}, {"reason": "a gift"}, {"receipt_id": "rct_none"}], ids=str)
def test_a_surplus_that_must_not_be(database: Database, change: dict[str, Any]) -> None:
    _insert(database, RECEIPT, _RECEIPT)
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, SURPLUS, {**_SURPLUS, **change})
    _insert(database, SURPLUS, _SURPLUS)
    with pytest.raises(sa.exc.IntegrityError):
        _insert(database, SURPLUS, {**_SURPLUS, "id": "srp_2"})
