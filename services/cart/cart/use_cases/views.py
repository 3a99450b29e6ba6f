"""Carts and orders as the public API shows them: JSON values only, so that an answer can be stored and replayed."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from cart.domain.cart import Cart, Line
from cart.domain.dispute import Dispute
from cart.domain.order import QUOTE, Order, OrderLine, State
from cart.domain.quote import last_day
from cart.domain.refund import Refund
from cart.domain.tax import Tax, percent, tax_on, tax_on_lines
from kernel.clock import rfc3339
from kernel.money import Money

#: Who may read carts and orders, and who may also change and place them.
READERS = ("viewer", "buyer", "admin")
BUYERS = ("buyer", "admin")
#: Staff who may give money back.
REFUNDERS = ("finance", "superuser")

_PAYMENT_STATES = {
    State.PENDING_PAYMENT: "processing",
    State.AWAITING_PAYMENT: "requires_action",
    State.CANCELLED: "failed",
    State.REFUNDED: "refunded",
    State.PARTIALLY_REFUNDED: "partially_refunded",
}
#: Of a quote, in whatever state: nothing is paid for it.
_NOT_DUE = "not_due"


def cart_view(cart: Cart, terms_version: str, tax: Tax | None = None) -> dict[str, Any]:
    """The cart with its totals and what each line still needs; with its tax, where that is known."""
    return {
        "id": cart.id,
        "version": cart.version,
        "currency": cart.currency,
        "lines": [_cart_line_view(line, tax) for line in cart.lines],
        "totals": _totals(cart.total, tax_on_lines((line.total for line in cart.lines), tax, cart.currency)),
        "line_count": len(cart.lines),
        "terms_version": terms_version,
        "tax": _tax(tax),
    }


def order_view(order: Order) -> dict[str, Any]:
    """The order for its organisation."""
    awaits = order.state == State.AWAITING_PAYMENT
    return {
        "id": order.id,
        "kind": order.kind,
        "number": order.number,
        "state": str(order.state),
        "lines": [{**_order_line_view(order, line), "fulfilment": _fulfilment(order, line)} for line in order.lines],
        "totals": _order_totals(order),
        "payment": {**_paid_with(order), "state": _payment_state(order)},
        "instructions": _instructions(order) if awaits else None,
        "purchase_order": {"number": order.purchase_order_number} if order.purchase_order_number else None,
        "terms_version": order.terms_version,
        "placed_at": rfc3339(order.placed_at),
        "expires_at": _moment(order.expires_at) if awaits or order.kind == QUOTE else None,
        "paid_at": _moment(order.paid_at),
        "fulfilled_at": _moment(order.fulfilled_at),
        "cancel_reason": order.cancel_reason,
        "next_action": _next_action(order),
        "quote_id": order.quote_id,
        "quote": _quote(order) if order.kind == QUOTE else None,
        "billing_address": dict(order.billing_address) if order.billing_address is not None else None,
        "tax": _order_tax(order),
        "dispute": _dispute(order),
    }


def refund_view(refund: Refund) -> dict[str, Any]:
    """A refund for staff."""
    return {
        "id": refund.id,
        "order_id": refund.order_id,
        "state": str(refund.state),
        "amount": refund.amount.as_dict(),
        "reason": refund.reason,
        "claimed": refund.claimed,
        "credits": _credits(refund),
        "lines": _refunded_lines(refund),
        "money_only": refund.money_only,
        "left": Money(refund.left_minor, refund.currency).as_dict(),
        "requested_by": refund.requested_by,
        "approved_by": refund.approved_by,
        "requested_at": rfc3339(refund.requested_at),
        "ended_at": _moment(refund.ended_at),
        "failure_code": refund.failure_code,
    }


def refunded_event(order: Order, refund: Refund) -> dict[str, Any]:
    """The data of ``cart.order_refunded.v1``. The reason stays with staff."""
    return {
        "refund_id": refund.id,
        "order_id": order.id,
        "number": order.number,
        "refunded_at": _moment(refund.ended_at),
        "organization": {"id": order.organization_id, "name": order.organization_name},
        "buyer": _buyer(order),
        "amount": refund.amount.as_dict(),
        "payment": _paid_with(order),
        "credits": _credits(refund),
        "left": Money(refund.left_minor, refund.currency).as_dict(),
        "lines": _refunded_lines(refund),
    }


def disputed_event(order: Order, dispute: Dispute) -> dict[str, Any]:
    """The data of ``cart.order_disputed.v1``."""
    return {**_what_is_disputed(order, dispute), "reason": dispute.reason, "opened_at": _moment(dispute.opened_at)}


def dispute_closed_event(order: Order, dispute: Dispute, credits: int | None) -> dict[str, Any]:
    """The data of ``cart.order_dispute_closed.v1``.

    Args:
        order, dispute: what was disputed.
        credits: as many may be taken back if it was lost; None: all.
    """
    return {
        **_what_is_disputed(order, dispute),
        "outcome": str(dispute.state),
        "credits": credits,
        "closed_at": _moment(dispute.closed_at),
    }


def _what_is_disputed(order: Order, dispute: Dispute) -> dict[str, Any]:
    return {
        "dispute_id": dispute.id,
        "order_id": order.id,
        "number": order.number,
        "organization": {"id": order.organization_id, "name": order.organization_name},
        "amount": Money(dispute.amount_minor, order.currency).as_dict(),
    }


def _dispute(order: Order) -> dict[str, Any] | None:
    dispute = order.dispute
    if dispute is None:
        return None
    return {
        "state": str(dispute.state),
        "amount": Money(dispute.amount_minor, order.currency).as_dict(),
        "reason": dispute.reason,
        "opened_at": _moment(dispute.opened_at),
        "closed_at": _moment(dispute.closed_at),
    }


def _refunded_lines(refund: Refund) -> list[dict[str, Any]] | None:
    """Pieces of which lines; None for the rest of the order, or for money only."""
    if refund.lines is None:
        return None
    return [{"line_id": line["line_id"], "quantity": line["quantity"]} for line in refund.lines]


def quote_event(quote: Order) -> dict[str, Any]:
    """The data of ``cart.quote_issued.v1`` and ``cart.quote_expiring.v1``."""
    return {
        "order_id": quote.id,
        "number": quote.number,
        "placed_at": rfc3339(quote.placed_at),
        "expires_at": _moment(quote.expires_at),
        "last_day": last_day(quote).isoformat(),
        "time_zone": quote.time_zone,
        "organization": {"id": quote.organization_id, "name": quote.organization_name},
        "buyer": _buyer(quote),
        "lines": [_order_line_view(quote, line) for line in quote.lines],
        "totals": _order_totals(quote),
        "purchase_order_number": quote.purchase_order_number,
        "terms_version": quote.terms_version,
    }


def paid_event(order: Order, paid_at: datetime) -> dict[str, Any]:
    """The data of ``cart.order_paid.v1``."""
    return {**_what_is_billed(order), "paid_at": rfc3339(paid_at), "payment": _paid_with(order)}


def billed_event(order: Order, billed_at: datetime) -> dict[str, Any]:
    """The data of ``cart.order_billed.v1``, for an order that has instructions."""
    told = order.instructions or {}
    payment = {name: told[name] for name in ("method", "reference", "due_on")}
    return {**_what_is_billed(order), "billed_at": rfc3339(billed_at), "payment": payment}


def cancelled_event(order: Order, cancelled_at: datetime, reason: str) -> dict[str, Any]:
    """The data of ``cart.order_cancelled.v1``."""
    return {
        "order_id": order.id,
        "number": order.number,
        "organization": {"id": order.organization_id, "name": order.organization_name},
        "cancelled_at": rfc3339(cancelled_at),
        "reason": reason,
    }


def _what_is_billed(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.id,
        "number": order.number,
        "organization": {"id": order.organization_id, "name": order.organization_name},
        "buyer": _buyer(order),
        "lines": [_sold_line(order, line) for line in order.lines],
        "totals": _order_totals(order),
        "purchase_order_number": order.purchase_order_number,
        "terms_version": order.terms_version,
        "billing_address": dict(order.billing_address) if order.billing_address is not None else None,
        "tax": _order_tax(order),
    }


def _payment_state(order: Order) -> str:
    if order.kind == QUOTE:
        return _NOT_DUE
    return "requires_action" if _next_action(order) else _PAYMENT_STATES.get(order.state, "captured")


def _quote(quote: Order) -> dict[str, Any]:
    return {
        "last_day": last_day(quote).isoformat(),
        "time_zone": quote.time_zone,
        "order_id": quote.converted_to,
    }


def _buyer(order: Order) -> dict[str, Any]:
    return {
        "user_id": order.user_id,
        "email": order.buyer_email,
        "name": order.buyer_name,
        "language": order.buyer_language,
    }


def _credits(refund: Refund) -> dict[str, int] | None:
    return None if refund.taken_back is None else asdict(refund.taken_back)


def _cart_line_view(line: Line, tax: Tax | None) -> dict[str, Any]:
    product = line.product
    return {
        "id": line.id,
        "sku": product.sku,
        "name": product.name,
        "kind": product.kind,
        "quantity": line.quantity,
        "unit_price": product.unit_price.as_dict(),
        "total": line.total.as_dict(),
        "credits": product.credits,
        "needs_deployment": product.needs_deployment,
        "deployment_id": line.deployment_id,
        "credit_destination": line.credit_destination,
        "tax": tax_on(line.total, tax).as_dict(),
        "available": line.available,
        "missing": line.missing,
    }


def _order_line_view(order: Order, line: OrderLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "sku": line.sku,
        "name": line.name,
        "kind": line.kind,
        "quantity": line.quantity,
        "unit_price": Money(line.unit_price_minor, order.currency).as_dict(),
        "total": Money(line.total_minor, order.currency).as_dict(),
        "credits": line.credits,
        "deployment_id": line.deployment_id,
        "credit_destination": line.credit_destination,
        "tax": Money(line.tax_minor, order.currency).as_dict(),
    }


def _sold_line(order: Order, line: OrderLine) -> dict[str, Any]:
    """A line with what those must know who hand it over."""
    terms = {"term_months": line.term_months, "credits_valid_days": line.credits_valid_days}
    return {**_order_line_view(order, line), **terms}


def _tax(tax: Tax | None) -> dict[str, Any] | None:
    if tax is None:
        return None
    return {"name": tax.name, "rate_percent": percent(tax.rate_ppm), "certificate": tax.certificate}


def _order_tax(order: Order) -> dict[str, Any] | None:
    if order.tax_name is None or order.tax_rate_ppm is None:
        return None
    return _tax(Tax(order.tax_name, order.tax_rate_ppm, order.tax_certificate))


def _fulfilment(order: Order, line: OrderLine) -> str:
    return "fulfilled" if order.paid_at is not None and line.awaits_nothing else "pending"


def _instructions(order: Order) -> dict[str, Any] | None:
    """How to pay what is left."""
    if order.instructions is None:
        return None
    told = order.instructions
    remaining = max(0, order.total_minor - order.received_minor)
    return {
        "method": told["method"],
        "reference": told["reference"],
        "amount": told["amount"],
        "received": Money(order.received_minor, order.currency).as_dict(),
        "remaining": Money(remaining, order.currency).as_dict(),
        "due_on": told["due_on"],
        "pay_to": told["pay_to"],
    }


def _next_action(order: Order) -> dict[str, Any] | None:
    """What the payer must do before the card is charged."""
    waits = order.state == State.PENDING_PAYMENT and order.cancel_requested_at is None
    return dict(order.next_action) if waits and order.next_action is not None else None


def _paid_with(order: Order) -> dict[str, Any]:
    card = {"brand": order.card_brand, "last4": order.card_last4} if order.card_last4 else None
    return {"method": order.payment_method, "card": card}


def _order_totals(order: Order) -> dict[str, Any]:
    return _totals(Money(order.subtotal_minor, order.currency), Money(order.tax_minor, order.currency))


def _totals(subtotal: Money, tax: Money) -> dict[str, Any]:
    return {"subtotal": subtotal.as_dict(), "tax": tax.as_dict(), "total": (subtotal + tax).as_dict()}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
