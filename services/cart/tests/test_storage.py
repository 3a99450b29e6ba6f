"""What the database itself refuses, on both kinds; and that the migrations make what the code expects."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cart import storage
from cart.domain.order import State

ORDERS, ORDER_LINE, CART, CART_LINE = storage.ORDERS, storage.ORDER_LINE, storage.CART, storage.CART_LINE


@pytest.fixture
def paid(shop_on_both: Any) -> Any:
    """A shop with a paid order, and a line in the cart."""
    shop_on_both.add_pack()
    shop_on_both.place()
    shop_on_both.add("BOX")
    return shop_on_both


def refuses(shop: Any, statement: sa.Executable) -> None:
    with pytest.raises(sa.exc.IntegrityError), shop.database.transaction() as transaction:
        transaction.execute(statement)


@pytest.mark.parametrize("column", [c.name for c in ORDER_LINE.c if not c.name.startswith("awaits_")])
def test_a_frozen_line_does_not_change(paid: Any, column: str) -> None:
    refuses(paid, sa.update(ORDER_LINE).values({column: ORDER_LINE.c[column]}))


@pytest.mark.parametrize("column", ["number", "total_minor", "organization_id", "terms_version", "client_address"])
def test_what_an_order_froze_does_not_change(paid: Any, column: str) -> None:
    refuses(paid, sa.update(ORDERS).values({column: ORDERS.c[column]}))


@pytest.mark.parametrize("table", [ORDERS, ORDER_LINE], ids=lambda table: table.name)
def test_orders_are_never_deleted(paid: Any, table: sa.Table) -> None:
    refuses(paid, sa.delete(table))


def test_fulfilment_may_change(paid: Any) -> None:
    with paid.database.transaction() as transaction:
        transaction.execute(sa.update(ORDER_LINE).values(awaits_credits=False))
    assert paid.rows(ORDER_LINE)[0]["awaits_credits"] is False


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(ORDERS).values(state="lost"),
        sa.update(ORDERS).values(state="pending_payment"),
        sa.update(ORDERS).values(state="cancelled"),
        sa.update(ORDERS).values(state="fulfilled"),
        sa.update(ORDERS).values(paid_at=None),
        sa.update(CART_LINE).values(quantity=0),
        sa.update(CART_LINE).values(quantity=-1),
        sa.update(CART_LINE).values(unit_price_minor=-1),
        sa.update(CART_LINE).values(credit_destination="somebody"),
        sa.update(CART_LINE).values(cart_id="crt_none"),
        sa.delete(CART),
    ],
    ids=str,
)
def test_what_may_never_be_stored(paid: Any, statement: sa.Executable) -> None:
    refuses(paid, statement)


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        (ORDER_LINE, {"order_id": "ord_none"}),
        (ORDER_LINE, {"quantity": 0, "total_minor": 0}),
        (ORDER_LINE, {"total_minor": 1}),
        (ORDER_LINE, {"credit_destination": None}),
        (ORDER_LINE, {"position": 0}),
        (ORDERS, {"number": "PC-2026-000001"}),
        (ORDERS, {"total_minor": 1}),
        (ORDERS, {"subtotal_minor": -12000, "total_minor": -12000}),
        (ORDERS, {"kind": "gift"}),
        (ORDERS, {"payment_method": "barter"}),
        (CART, {}),
        (CART_LINE, {}),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_may_never_be_added(paid: Any, table: sa.Table, changes: dict[str, Any]) -> None:
    """A copy of a good row, with a new id and one thing wrong."""
    fresh = {"number": "PC-2026-000099"} if table is ORDERS else {}
    if table is ORDER_LINE:
        fresh = {"position": 5}
    row = {**paid.rows(table)[0], "id": "new_1", **fresh, **changes}
    refuses(paid, sa.insert(table).values(row))


def test_the_good_copies_themselves_are_taken(paid: Any) -> None:
    """So that the test above refuses for the reason it names."""
    order = {**paid.rows(ORDERS)[0], "id": "new_1", "number": "PC-2026-000099"}
    line = {**paid.rows(ORDER_LINE)[0], "id": "new_1", "position": 5}
    with paid.database.transaction() as transaction:
        transaction.execute(sa.insert(ORDERS).values(order))
        transaction.execute(sa.insert(ORDER_LINE).values(line))
    assert len(paid.rows(ORDERS)) == len(paid.rows(ORDER_LINE)) == 2


def test_a_moved_order_must_be_where_it_moves_from(paid: Any) -> None:
    order_id = paid.rows(ORDERS)[0]["id"]

    def moved(target: State, **values: Any) -> str:
        with paid.database.transaction() as transaction:
            storage.move_order(transaction, order_id, target, **values)
        return str(paid.rows(ORDERS)[0]["state"])

    now = paid.clock.now()
    assert moved(State.CANCELLED, cancelled_at=now, cancel_reason="x") == "paid"
    assert moved(State.PAID, paid_at=now) == "paid"
    assert moved(State.FULFILLED, fulfilled_at=now) == "fulfilled"


def test_the_migrations_make_the_tables_of_the_code(shop_on_both: Any) -> None:
    with shop_on_both.database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), storage.METADATA)
    assert [one for one in differences if "alembic_version" not in str(one)] == []
