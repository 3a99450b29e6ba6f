"""Queries of orders and quotes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from cart.domain.cart import Cart
from cart.domain.dispute import Dispute, DisputeState
from cart.domain.order import Order, OrderLine, State, sources
from cart.storage.tables import CART, OPEN_QUOTE, ORDER_DISPUTE, ORDER_LINE, ORDER_NUMBER, ORDERS, PAYMENT_UNDER_WAY
from chassis.persistence import (
    IntegrityError,
    Reader,
    Row,
    Statement,
    Transaction,
    UtcDateTimeColumn,
)
from chassis.persistence.paging import page
from chassis.persistence.statements import any_of, one_of, violates
from chassis.persistence.tables import IDEMPOTENCY_KEY
from kernel.clock import CLOCKS_DIFFER
from kernel.money import Money

_DISPUTE_COLUMNS = [column.label(f"dispute_{column.name}") for column in ORDER_DISPUTE.c]


_ITS_DISPUTE = ORDER_DISPUTE.c.order_id == ORDERS.c.id


_WITH_DISPUTE: sa.Select[Any] = sa.select(ORDERS, *_DISPUTE_COLUMNS).outerjoin(ORDER_DISPUTE, _ITS_DISPUTE)


_ORDER_LINE_COLUMNS = [column for column in ORDER_LINE.c if column.name != "order_id"]


_TAKE_SERIAL = Statement(
    sa.insert(ORDER_NUMBER)
    .from_select(
        ["taken_at"],
        sa.select(sa.bindparam("now", type_=UtcDateTimeColumn))
        .select_from(CART)
        .where(CART.c.id == sa.bindparam("cart_id"), CART.c.version == sa.bindparam("version"))
        .with_for_update(),
    )
    .returning(ORDER_NUMBER.c.serial)
)


_TAKE_QUOTED_SERIAL = Statement(
    sa.insert(ORDER_NUMBER)
    .values(taken_at=sa.bindparam("now", type_=UtcDateTimeColumn))
    .returning(ORDER_NUMBER.c.serial)
)


_LOCK_CART_BY_ID = Statement(sa.select(CART.c.id).where(CART.c.id == sa.bindparam("cart_id")).with_for_update())


_LOCK_ORDER = Statement(
    sa.select(ORDERS.c.id)
    .join_from(ORDERS, CART, CART.c.id == ORDERS.c.cart_id)
    .where(ORDERS.c.id == sa.bindparam("order_id"))
    .with_for_update()
)


_READ_ORDER = Statement(
    sa.select(
        *ORDERS.c,
        CART.c.version.label("version_of_cart"),
        *(column.label(f"line_{column.name}") for column in _ORDER_LINE_COLUMNS),
        *_DISPUTE_COLUMNS,
    )
    .join_from(ORDERS, CART, CART.c.id == ORDERS.c.cart_id)
    .join(ORDER_LINE, ORDER_LINE.c.order_id == ORDERS.c.id)
    .outerjoin(ORDER_DISPUTE, _ITS_DISPUTE)
    .where(ORDERS.c.id == sa.bindparam("order_id"))
    .order_by(ORDER_LINE.c.position)
)


_STANDS = Statement(
    sa.select(ORDERS.c.id, ORDERS.c.state, ORDERS.c.total_minor, ORDERS.c.currency).where(any_of(ORDERS.c.id, "ids"))
)


_LOCK_ORDERS = Statement(
    sa.select(ORDERS.c.id).where(any_of(ORDERS.c.id, "ids")).order_by(ORDERS.c.id).with_for_update()
)


_FULFIL = Statement(
    sa.update(ORDERS)
    .where(
        ORDERS.c.id == sa.bindparam("order_id"),
        ORDERS.c.state == str(State.PAID),
        ~sa.exists().where(
            ORDER_LINE.c.order_id == ORDERS.c.id, sa.or_(ORDER_LINE.c.awaits_credits, ORDER_LINE.c.awaits_binding)
        ),
    )
    .values(state=str(State.FULFILLED), fulfilled_at=sa.bindparam("now", type_=UtcDateTimeColumn))
)


def take_order_serial(transaction: Transaction, cart: Cart) -> int | None:
    """The next number of an order; None if the cart is not at the version that was seen.

    The cart is locked until the transaction ends. Orders of different carts do not wait for each other, and a rollback
    leaves a gap.
    """
    serial: int | None = transaction.scalar(_TAKE_SERIAL, now=transaction.now, cart_id=cart.id, version=cart.version)
    return serial


def take_serial(transaction: Transaction) -> int:
    """The next number of an order that is not made from a cart."""
    serial: int = transaction.scalar(_TAKE_QUOTED_SERIAL, now=transaction.now)
    return serial


def insert_order(transaction: Transaction, order: Order) -> None:
    """Store a new order with its frozen lines.

    Raises:
        IntegrityError: a payment for the same cart is under way (with the next statement or the commit).
    """
    values = {column.name: getattr(order, column.name) for column in ORDERS.c}
    transaction.insert(ORDERS, {**values, "state": str(order.state)})
    for line in order.lines:
        frozen = {column.name: getattr(line, column.name) for column in _ORDER_LINE_COLUMNS}
        transaction.insert(ORDER_LINE, {"order_id": order.id, **frozen})


def is_payment_under_way(error: IntegrityError) -> bool:
    """Whether an order could not be stored because another one of its cart is being paid."""
    return violates(error, "orders_one_payment_under_way", "orders.cart_id")


def is_made_already(error: IntegrityError) -> bool:
    """Whether an order could not be stored because its quote has become one."""
    return violates(error, "orders_one_per_quote", "orders.quote_id")


def read_order(reader: Reader, order_id: str, organization_id: str | None = None) -> Order | None:
    """An order with its lines; only that organisation's, unless it is None."""
    query = _WITH_DISPUTE.where(ORDERS.c.id == order_id)
    if organization_id is not None:
        query = query.where(ORDERS.c.organization_id == organization_id)
    found = with_lines(reader, reader.all(query))
    return found[0] if found else None


def read_orders(reader: Reader, order_ids: Sequence[str]) -> list[Order]:
    """Those of the orders that exist, with their lines, by id."""
    return with_lines(reader, reader.all(sa.select(ORDERS).where(ORDERS.c.id.in_(order_ids)).order_by(ORDERS.c.id)))


def lock_order(transaction: Transaction, order_id: str) -> tuple[Order, int] | None:
    """An order and the version of its cart, which nobody else changes until the transaction ends."""
    transaction.write(_LOCK_ORDER, order_id=order_id)
    # read after the lock is held: a join in the locking statement could give older lines
    rows = transaction.all(_READ_ORDER, order_id=order_id)
    if not rows:
        return None
    lines = [OrderLine(**{column.name: row[f"line_{column.name}"] for column in _ORDER_LINE_COLUMNS}) for row in rows]
    return _order(rows[0], lines), rows[0]["version_of_cart"]


def lock_quote(transaction: Transaction, quote: Order) -> Order | None:
    """A quote as it is now, which nobody else changes until the transaction ends.

    Its cart is locked first, as it is by whoever cancels the order that it became and gives the quote back: two that
    lock the same rows in another order would wait for each other.
    """
    transaction.write(_LOCK_CART_BY_ID, cart_id=quote.cart_id)
    locked = lock_order(transaction, quote.id)
    return None if locked is None else locked[0]


def reopen_quote(transaction: Transaction, quote_id: str) -> None:
    """The order that a quote became was cancelled unpaid: it may become another, until it expires."""
    move_order(transaction, quote_id, State.OPEN, converted_to=None)


def quotes_to_chase(transaction: Transaction, remind_until: datetime, at_most: int) -> list[Order]:
    """Open quotes whose last day has passed, or which expire by then and whose buyers were not told; they are locked.

    Other processes pass over them.
    """
    rows = transaction.all(
        sa.select(ORDERS)
        .where(
            sa.text(OPEN_QUOTE),
            sa.or_(
                ORDERS.c.expires_at <= transaction.now,
                sa.and_(ORDERS.c.expires_at <= remind_until, ORDERS.c.reminded_at.is_(None)),
            ),
        )
        .order_by(ORDERS.c.expires_at)
        .limit(at_most)
        .with_for_update(skip_locked=True)
    )
    return with_lines(transaction, rows)


def note_reminder(transaction: Transaction, quote_id: str) -> None:
    """The buyer of a locked quote was told that it is about to expire."""
    transaction.execute(sa.update(ORDERS).where(ORDERS.c.id == quote_id).values(reminded_at=transaction.now))


def how_orders_stand(reader: Reader, order_ids: Iterable[str]) -> dict[str, tuple[State, Money]]:
    """State and total of orders, by id."""
    rows = reader.all(_STANDS, ids=sorted(order_ids))
    return {row["id"]: (State(row["state"]), Money(row["total_minor"], row["currency"])) for row in rows}


def with_lines(reader: Reader, rows: Sequence[Row]) -> list[Order]:
    """The orders of these rows, in their order."""
    if not rows:
        return []
    lines: dict[str, list[OrderLine]] = {row["id"]: [] for row in rows}
    for row in reader.all(
        sa.select(ORDER_LINE).where(ORDER_LINE.c.order_id.in_(list(lines))).order_by(ORDER_LINE.c.position)
    ):
        lines[row["order_id"]].append(OrderLine(**{column.name: row[column.name] for column in _ORDER_LINE_COLUMNS}))
    return [_order(row, lines[row["id"]]) for row in rows]


def page_of_orders(
    reader: Reader,
    organization_id: str | None,
    filters: Mapping[str, str | None],
    limit: int,
    cursor: str | None,
) -> tuple[list[Order], str | None]:
    """One page of orders, newest first.

    Args:
        reader: where to ask.
        organization_id: whose; None for everybody's.
        filters: columns and the values they must have; None for any.
        limit: orders at most.
        cursor: of the page before.

    Raises:
        Refusal: `invalid_cursor`.
    """
    query = _WITH_DISPUTE
    if organization_id is not None:
        query = query.where(ORDERS.c.organization_id == organization_id)
    for column, value in filters.items():
        if value is not None:
            query = query.where(_stands_as(value, reader.now) if column == "state" else ORDERS.c[column] == value)
    rows, following = page(reader, query, ORDERS.c.id, limit, cursor)
    return with_lines(reader, rows), following


def _stands_as(state: str, now: datetime) -> sa.ColumnElement[bool]:
    """A quote is open until its last day has passed, and expired from then on, whether the sweep has come or not."""
    is_it = ORDERS.c.state == state
    if state == State.OPEN:
        return sa.and_(is_it, ORDERS.c.expires_at > now)
    if state == State.EXPIRED:
        return sa.or_(is_it, sa.and_(ORDERS.c.state == str(State.OPEN), ORDERS.c.expires_at <= now))
    return is_it


def search_orders(
    reader: Reader, wanted: Mapping[str, str], ids: Sequence[str] | None, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """One page of everybody's orders without their lines, newest first.

    Args:
        reader: where to ask.
        wanted: columns and the values they must have.
        ids: which they must be among; None for any.
        limit: orders at most.
        cursor: of the page before.

    Raises:
        Refusal: `invalid_cursor`.
    """
    state = [_stands_as(value, reader.now) for column, value in wanted.items() if column == "state"]
    others = [ORDERS.c[column] == value for column, value in wanted.items() if column != "state"]
    query = _WITH_DISPUTE.where(*state, *others)
    if ids is not None:
        query = query.where(ORDERS.c.id.in_(ids))
    return page(reader, query, ORDERS.c.id, limit, cursor)


def move_order(transaction: Transaction, order_id: str, target: State, **values: Any) -> None:
    """Bring a locked order to a state, if it is in one from which that may be."""
    transaction.write(_moving(target, tuple(values)), order_id=order_id, **values)


def could_move_order(transaction: Transaction, order_id: str, target: State, **values: Any) -> bool:
    """The same; whether it was in such a state."""
    return transaction.change(_moving(target, tuple(values)), order_id=order_id, **values) == 1


@cache
def _moving(target: State, columns: tuple[str, ...]) -> Statement:
    values = {name: sa.bindparam(name, type_=ORDERS.c[name].type) for name in columns}
    allowed = one_of(ORDERS.c.state, [str(state) for state in sources(target)])
    return Statement(
        sa.update(ORDERS).where(ORDERS.c.id == sa.bindparam("order_id"), allowed).values(state=str(target), **values)
    )


def await_payment(transaction: Transaction, order_id: str, **values: Any) -> None:
    """Have a locked order wait for a wire or check, or wait on new terms."""
    waits = ORDERS.c.state.in_([str(State.PENDING_PAYMENT), str(State.AWAITING_PAYMENT)])
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order_id, waits)
        .values(state=str(State.AWAITING_PAYMENT), **values)
    )  # fmt: skip


def pay_otherwise(transaction: Transaction, order_id: str, **values: Any) -> None:
    """Have a locked, unpaid order be paid in another way."""
    unpaid = ORDERS.c.state.in_([str(State.PENDING_PAYMENT), str(State.AWAITING_PAYMENT)])
    transaction.execute(
        sa.update(ORDERS).where(ORDERS.c.id == order_id, unpaid).values(state=str(State.PENDING_PAYMENT), **values)
    )


def note_next_action(transaction: Transaction, order_id: str, round: int, next_action: Mapping[str, Any]) -> None:
    """Keep what the payer must do, unless the payment has ended or was changed since."""
    pending = (ORDERS.c.state == str(State.PENDING_PAYMENT), ORDERS.c.payment_round == round)
    transaction.execute(
        sa.update(ORDERS).where(ORDERS.c.id == order_id, *pending).values(next_action=dict(next_action))
    )  # fmt: skip


def note_received(transaction: Transaction, order_id: str, received_minor: int) -> None:
    """Keep how much money has come for an order; what is known only grows, in whatever order it is told."""
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order_id, ORDERS.c.received_minor < received_minor)
        .values(received_minor=received_minor)
    )


def lock_orders(transaction: Transaction, order_ids: Iterable[str]) -> set[str]:
    """Have nobody else change these orders until the transaction ends; those of them that exist."""
    return {row["id"] for row in transaction.all(_LOCK_ORDERS, ids=sorted(order_ids))}


def hand_over_lines(transaction: Transaction, order_id: str, line_ids: Sequence[str], awaited: str) -> None:
    """Note that lines have got what they awaited.

    Args:
        transaction: one that has locked the order.
        order_id: the order.
        line_ids: lines of it.
        awaited: ``awaits_credits`` or ``awaits_binding``.
    """
    transaction.write(_handing_over(awaited), of_order=order_id, line_ids=line_ids)


@cache
def _handing_over(awaited: str) -> Statement:
    return Statement(
        sa.update(ORDER_LINE)
        .where(ORDER_LINE.c.order_id == sa.bindparam("of_order"), any_of(ORDER_LINE.c.id, "line_ids"))
        .values({awaited: False})
    )


def fulfil_if_complete(transaction: Transaction, order_id: str) -> None:
    """Close a paid order if no line awaits anything."""
    transaction.write(_FULFIL, order_id=order_id, now=transaction.now)


def claim_order(transaction: Transaction, longest_lease: timedelta, order_id: str | None = None) -> Order | None:
    """An order whose payment is under way and whose lease has run out; that one, or the one that has waited longest.

    The row is locked until the transaction ends; other processes pass over it. The lines are left out.

    Args:
        transaction: the open one.
        longest_lease: one that ends later than so far ahead is from a clock that was wrong, and holds nobody.
        order_id: only that one.
    """
    query = (
        sa.select(ORDERS)
        .where(
            sa.text(PAYMENT_UNDER_WAY),
            sa.or_(
                ORDERS.c.next_attempt_at <= transaction.now,
                ORDERS.c.next_attempt_at > transaction.now + longest_lease + CLOCKS_DIFFER,
            ),
        )
        .order_by(ORDERS.c.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if order_id is not None:
        query = query.where(ORDERS.c.id == order_id)
    row = transaction.one(query)
    return None if row is None else _order(row, ())


def lease_order(transaction: Transaction, order: Order, until: datetime) -> None:
    """Have nobody ask about the order's payment before `until`."""
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order.id)
        .values(attempts=order.attempts + 1, next_attempt_at=until)
    )  # fmt: skip


def request_cancel(transaction: Transaction, order: Order, until: datetime) -> None:
    """Have a locked, unpaid order's payment given up rather than pursued; nobody else asks about it before `until`."""
    transaction.execute(
        sa.update(ORDERS)
        .where(ORDERS.c.id == order.id)
        .values(
            state=str(State.PENDING_PAYMENT),
            cancel_requested_at=order.cancel_requested_at or transaction.now,
            next_attempt_at=until,
        )
    )


def flag_order(transaction: Transaction, order_id: str, problem: str) -> None:
    """Keep what is wrong with an order for a person to look at; the first problem stays."""
    transaction.execute(
        sa.update(ORDERS).where(ORDERS.c.id == order_id, ORDERS.c.problem.is_(None)).values(problem=problem)
    )


def stored_answer(reader: Reader, order: Order) -> dict[str, Any] | None:
    """The answer that is kept under the order's Idempotency-Key; None if there is none (any more)."""
    return kept_answer(reader, order.organization_id, order.answered_key)


def kept_answer(reader: Reader, scope: str, key: str) -> dict[str, Any] | None:
    is_it = (IDEMPOTENCY_KEY.c.scope == scope, IDEMPOTENCY_KEY.c.key == key)
    text = reader.scalar(sa.select(IDEMPOTENCY_KEY.c.answer).where(*is_it))
    return json.loads(text) if text else None


def _order(row: Row, lines: Sequence[OrderLine]) -> Order:
    values = {column.name: row[column.name] for column in ORDERS.c}
    return Order(**{**values, "state": State(row["state"]), "lines": tuple(lines), "dispute": _dispute(row)})


def _dispute(row: Row) -> Dispute | None:
    """The one that was read with an order; None where it was not, too."""
    if row.get("dispute_id") is None:
        return None
    values = {column.name: row[f"dispute_{column.name}"] for column in ORDER_DISPUTE.c}
    told = None if values["told"] is None else DisputeState(values["told"])
    return Dispute(**{**values, "state": DisputeState(values["state"]), "told": told})
