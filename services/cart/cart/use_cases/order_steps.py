"""What happened to an order itself: placed, paid, fulfilled, cancelled, refunded, disputed."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from cart.storage import ORDER_DISPUTE, ORDERS, REFUND
from chassis.persistence import Reader, Row
from chassis.timeline import Step


def order_steps(reader: Reader, order_id: str, organization_id: str | None) -> Iterator[Step]:
    """The steps of an order; none if it is not that organisation's.

    Args:
        reader: the database.
        order_id: the order.
        organization_id: whose it must be; None for anybody's.
    """
    order = reader.one(sa.select(ORDERS).where(ORDERS.c.id == order_id))
    if order is None or organization_id not in (None, order["organization_id"]):
        return
    yield from _of_order(order)
    for refund in reader.all(sa.select(REFUND).where(REFUND.c.order_id == order_id)):
        yield from _of_refund(refund)
    for dispute in reader.all(sa.select(ORDER_DISPUTE).where(ORDER_DISPUTE.c.order_id == order_id)):
        yield from _of_dispute(dispute, order["currency"])


def _of_order(order: Row) -> Iterator[Step]:
    money = {"amount_minor": order["total_minor"], "currency": order["currency"]}
    yield Step(
        order["placed_at"],
        f"{order['kind']}.placed",
        {"number": order["number"], "buyer": order["buyer_email"], "method": order["payment_method"], **money,
         "quote_id": order["quote_id"]},
    )  # fmt: skip
    if order["cancel_requested_at"] is not None:
        yield Step(order["cancel_requested_at"], "order.cancel_requested")
    if order["paid_at"] is not None:
        yield Step(order["paid_at"], "order.paid", money)
    if order["fulfilled_at"] is not None:
        yield Step(order["fulfilled_at"], "order.fulfilled")
    if order["cancelled_at"] is not None:
        yield Step(order["cancelled_at"], f"{order['kind']}.cancelled", {"reason": order["cancel_reason"]})


def _of_refund(refund: Row) -> Iterator[Step]:
    facts = {"refund_id": refund["id"], "amount_minor": refund["amount_minor"], "currency": refund["currency"]}
    yield Step(refund["requested_at"], "refund.requested", {**facts, "reason": refund["reason"]})
    if refund["ended_at"] is not None:
        yield Step(refund["ended_at"], f"refund.{refund['state']}", {**facts, "failure_code": refund["failure_code"]})


def _of_dispute(dispute: Row, currency: str) -> Iterator[Step]:
    facts = {"dispute_id": dispute["id"], "amount_minor": dispute["amount_minor"], "currency": currency}
    if dispute["opened_at"] is not None:
        yield Step(dispute["opened_at"], "order.disputed", {**facts, "reason": dispute["reason"]})
    if dispute["closed_at"] is not None:
        yield Step(dispute["closed_at"], f"order.dispute_{dispute['state']}", facts)
