"""Quotes: how long they are good for, and what keeps one from becoming an order (mission, clauses 19 and 20)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cart.domain.cart import Problem, refuse
from cart.domain.order import ORDER, QUOTE, Order, State
from cart.domain.products import Deployment
from kernel.errors import Refusal, conflict


def end_of_last_day(placed_at: datetime, valid_days: int, time_zone: str) -> datetime:
    """When a quote expires: with the end of its last day where the organisation is.

    Args:
        placed_at: when it was made.
        valid_days: the last day is so many days after the one on which it was made.
        time_zone: of the organisation, an IANA name.

    Returns:
        The first moment at which it is no longer good, in UTC. A day is 23 or 25 hours long where clocks are changed.
    """
    zone = ZoneInfo(time_zone)
    day_after = placed_at.astimezone(zone).date() + timedelta(days=valid_days + 1)
    return datetime.combine(day_after, time(), zone).astimezone(UTC)


def last_day(quote: Order) -> date:
    """The last day on which a quote is good, where its organisation is."""
    assert quote.expires_at is not None, "every quote expires"
    return (quote.expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(quote.time_zone or "UTC")).date()


def at(order: Order, now: datetime) -> Order:
    """An order or a quote as it is at a moment: a quote expires by itself, whether anything has noted it or not."""
    if order.state is State.OPEN and order.expires_at is not None and order.expires_at <= now:
        return replace(order, state=State.EXPIRED)
    return order


def check_open(quote: Order, now: datetime) -> None:
    """Refuse to make an order of what is not an open quote.

    Raises:
        Refusal: `not_a_quote`, `quote_converted`, `quote_cancelled`, `quote_expired`.
    """
    if quote.kind != QUOTE:
        raise conflict("not_a_quote", "This is an order already.")
    state = at(quote, now).state
    if state is State.CONVERTED:
        raise converted(quote)
    if state is State.CANCELLED:
        raise conflict("quote_cancelled", "This quote is cancelled. Ask for a new one.")
    if state is State.EXPIRED:
        raise conflict(
            "quote_expired", f"This quote was good until {last_day(quote)} ({quote.time_zone}). Ask for a new one.",
            {"expires_at": quote.expires_at.isoformat() if quote.expires_at else None},
        )  # fmt: skip


def converted(quote: Order) -> Refusal:
    """The refusal of a second order: the first one is named."""
    more = {"order_id": quote.converted_to} if quote.converted_to else None
    return conflict("quote_converted", "An order was made of this quote already.", more)


def check_sold(quote: Order, sold: Mapping[str, Any], deployments: Mapping[str, Deployment]) -> None:
    """Refuse what can no longer be had, whatever it would cost now: the quote's price holds, not its supply.

    Args:
        quote: with its lines.
        sold: by SKU, what is on sale now.
        deployments: those of the quote that the caller may see.

    Raises:
        Refusal: invalid, with every wrong line: `product_unavailable`, `deployment_not_found`, `deployment_retired`.
    """
    found = []
    for number, line in enumerate(quote.lines):
        field = f"lines.{number}.deployment_id"
        deployment = deployments.get(line.deployment_id or "")
        if line.sku not in sold:
            detail = f"{line.name} is no longer sold. Ask for a new quote."
            found.append(Problem("product_unavailable", f"lines.{number}.sku", detail))
        elif line.deployment_id is not None and deployment is None:
            found.append(Problem("deployment_not_found", field, "There is no such deployment any more."))
        elif deployment is not None and not deployment.active:
            detail = f"The deployment {line.deployment_id} is retired. Ask for a new quote."
            found.append(Problem("deployment_retired", field, detail))
    refuse(found)


def as_order(quote: Order, new_id: Callable[[str], str], **values: Any) -> Order:
    """The order that a quote becomes: its lines, amounts, purchase order number and terms are the quote's.

    Args:
        quote: an open one, with its lines.
        new_id: makes an id with a prefix.
        values: what is the order's own: who buys it, how it is paid, its number and moments.
    """
    return replace(
        quote,
        id=new_id("ord"),
        kind=ORDER,
        state=State.PENDING_PAYMENT,
        quote_id=quote.id,
        expires_at=None,
        time_zone=None,
        reminded_at=None,
        lines=tuple(replace(line, id=new_id("oln")) for line in quote.lines),
        **values,
    )
