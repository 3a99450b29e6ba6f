"""Binding what was bought: once, for ever."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa

from accounts import storage
from accounts.domain.deployments import State
from accounts.domain.terms import term
from accounts.messages import OrderPaid
from accounts.use_cases.bind_order import bind_orders
from accounts.use_cases.order_facts import order_facts
from accounts.use_cases.register_deployment import register_deployment
from chassis.testing import emitted, identity, make_event
from kernel.errors import Refusal

PAID = "cart.order_paid.v1"
BOUND = ("accounts.order_bound.v1", {"order_id": "ord_1", "line_ids": ["oln_contract", "oln_licence"]})


def _line(line_id: str, kind: str, deployment_id: str | None, **more):
    return {
        "id": line_id, "sku": kind.upper(), "name": kind, "kind": kind, "quantity": 2, "deployment_id": deployment_id,
        "unit_price": {"amount_minor": 1, "currency": "USD"}, **more,
    }  # fmt: skip


MIXED = (
    _line("oln_pack", "credit_pack", None),
    _line("oln_contract", "contract", "14181336"),
    _line("oln_licence", "licence", "14181336"),
    _line("oln_box", "hardware", None),
)


def _paid(*lines, event_id: str | None = None, organization_id: str = "org_acme", number: int = 1):
    data = {
        "order_id": f"ord_{number}", "number": "1", "organization": {"id": organization_id, "name": "A"},
        "lines": list(lines),
    }  # fmt: skip
    return make_event(PAID, OrderPaid().load(data), event_id=event_id, consumer="accounts")


@pytest.fixture
def stocked(world_on_both):
    for deployment_id, organization_id in (("14181336", "org_acme"), ("20000000", "org_globex")):
        register_deployment(
            world_on_both.app, id=deployment_id, organization_id=organization_id, name=deployment_id,
            registered_on=date(2017, 6, 15), state=State.RETIRED,
        )  # fmt: skip
    return world_on_both


def _bound(world):
    with world.app.database.reading() as reader:
        return reader.all(sa.select(storage.ENTITLEMENT).order_by(storage.ENTITLEMENT.c.order_line_id))


def test_contracts_and_licences_are_bound_and_cart_is_told(stocked) -> None:
    bind_orders(stocked.app, [_paid(*MIXED)])
    assert [dict(row) for row in _bound(stocked)] == [
        {
            "order_line_id": f"oln_{kind}", "order_id": "ord_1", "organization_id": "org_acme",
            "deployment_id": "14181336", "kind": kind, "sku": kind.upper(), "name": kind, "quantity": 2,
            "bound_at": stocked.clock.now(), **term,
        }
        for kind, term in (
            ("contract", {"starts_on": date(2026, 11, 22), "ends_on": date(2028, 11, 21)}),  # two pieces: two years
            ("licence", {"starts_on": None, "ends_on": None}),
        )
    ]  # fmt: skip
    assert emitted(stocked.app.database) == [BOUND]


def _contract(number: int, **more):
    return _paid(
        _line(f"oln_{number}", "contract", "14181336", **{"quantity": 1, "term_months": 1, **more}), number=number
    )


def _terms(world) -> list[tuple[str, str]]:
    return [(f"{row['starts_on']:%m-%d}", f"{row['ends_on']:%m-%d}") for row in _bound(world)]


def test_a_renewal_begins_when_what_runs_ends_and_another_product_at_once(stocked) -> None:
    for number, more in enumerate(({}, {}, {"sku": "PREMIUM"})):
        bind_orders(stocked.app, [_contract(number, **more)])
    bind_orders(stocked.app, [_contract(0)])  # known already
    assert _terms(stocked) == [("11-22", "12-21"), ("12-22", "01-21"), ("11-22", "12-21")]
    stocked.clock.advance(days=90)
    bind_orders(stocked.app, [_contract(3)])  # after a gap, which nobody pays for
    assert _terms(stocked)[-1] == ("02-20", "03-19")


def test_renewals_at_once_run_one_after_the_other(stocked) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: bind_orders(stocked.app, [_contract(number)]), range(4)))
    assert sorted(_terms(stocked)) == [("01-22", "02-21"), ("02-22", "03-21"), ("11-22", "12-21"), ("12-22", "01-21")]


@pytest.mark.parametrize(
    ("today", "months", "last"),
    [("2026-01-31", 1, "2026-02-27"), ("2028-02-29", 12, "2029-02-27"), ("2026-11-22", 12, "2027-11-21"),
     ("2026-12-01", 1, "2026-12-31"), ("2026-10-31", 120, "2036-10-30")],
)  # fmt: skip
def test_the_last_day_of_a_term(today: str, months: int, last: str) -> None:
    assert term(date.fromisoformat(today), None, months)[1] == date.fromisoformat(last)


def test_an_order_without_such_lines_is_passed_over(stocked) -> None:
    bind_orders(stocked.app, [_paid(MIXED[0], MIXED[3])])
    assert not _bound(stocked)
    assert emitted(stocked.app.database) == []


def test_the_same_event_twice_binds_and_tells_once(stocked) -> None:
    event = _paid(*MIXED, event_id="evt_1")
    bind_orders(stocked.app, [event])
    bind_orders(stocked.app, [event])
    assert len(_bound(stocked)) == 2
    assert emitted(stocked.app.database) == [BOUND]


def test_the_same_order_under_another_event_id_moves_nothing(stocked) -> None:
    bind_orders(stocked.app, [_paid(*MIXED)])
    before = _bound(stocked)
    stocked.clock.advance(days=1)
    bind_orders(stocked.app, [_paid(*MIXED)])
    assert _bound(stocked) == before
    assert emitted(stocked.app.database) == [BOUND, BOUND]


def test_many_deliveries_at_once_bind_once(stocked) -> None:
    event = _paid(*MIXED, event_id="evt_1")
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(bind_orders, stocked.app, [event]) for _ in range(16)]:
            done.result()
    assert len(_bound(stocked)) == 2
    assert emitted(stocked.app.database) == [BOUND]


@pytest.mark.parametrize("deployment_id", ["20000000", "99999999"])
def test_a_deployment_that_is_not_the_buyers_binds_nothing_of_the_order(stocked, deployment_id: str) -> None:
    event = _paid(*MIXED, _line("oln_wrong", "licence", deployment_id))
    for _ in range(2):
        with pytest.raises(Refusal, match="not_found"):
            bind_orders(stocked.app, [event])
    assert not _bound(stocked)
    assert emitted(stocked.app.database) == []


@pytest.mark.parametrize(
    "statement",
    ["UPDATE entitlement SET deployment_id = '20000000'", "UPDATE entitlement SET quantity = 3",
     "DELETE FROM entitlement"],
)  # fmt: skip
def test_the_database_refuses_to_move_or_forget_what_is_bound(stocked, statement: str) -> None:
    bind_orders(stocked.app, [_paid(*MIXED)])
    before = _bound(stocked)
    with pytest.raises(sa.exc.IntegrityError, match="immutable"), stocked.app.database.transaction() as transaction:
        transaction.execute(sa.text(statement))
    assert _bound(stocked) == before


def test_postgresql_refuses_to_empty_the_table(migrated_postgres) -> None:
    database = migrated_postgres("accounts")
    with pytest.raises(sa.exc.IntegrityError, match="immutable"), database.transaction() as transaction:
        transaction.execute(sa.text("TRUNCATE entitlement"))


def test_staff_who_reconcile_are_told_of_every_bound_line(stocked) -> None:
    bind_orders(stocked.app, [_paid(*MIXED)])
    staff = identity("finance", organization_id="org_platform")
    first = order_facts(stocked.app, staff, limit=1, cursor=None)
    second = order_facts(stocked.app, staff, limit=1, cursor=first["next"])
    assert first["items"] + second["items"] == [
        {"order_id": "ord_1", "line_id": "oln_licence"}, {"order_id": "ord_1", "line_id": "oln_contract"},
    ]  # fmt: skip
    assert second["next"] is None
    with pytest.raises(Refusal, match="role"):
        order_facts(stocked.app, stocked.admin, limit=1, cursor=None)
