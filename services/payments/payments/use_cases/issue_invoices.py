"""Issue invoices: open when an order awaits a wire or check, paid when its money is there. One an order, without gaps.

The two events may come in either order, and again: the series is locked before the orders' invoices are looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kernel.ids import new_id
from payments import invoice_storage as storage
from payments.domain.invoices import InvoiceState, Kind, document_number, supplied_on
from payments.messages import INVOICE_PAID
from payments.use_cases.invoice_views import content_of

if TYPE_CHECKING:
    from chassis.messages import Event
    from chassis.persistence import Transaction
    from payments.bootstrap import App


class InvoiceContradictionError(Exception):
    """An order is paid whose invoice is void: a person must look at it, and the event is parked."""


def issue_open_invoices(app: App, events: Sequence[Event]) -> None:
    """Orders are to be paid by wire or check: they are invoiced, unless they were cancelled meanwhile."""
    with app.database.transaction() as tx:
        fresh = list(tx.accept_each(events))
        payable = storage.lock_payable(tx, {event.data["order_id"] for event in fresh})
        issue(app, tx, [event.data for event in fresh if event.data["order_id"] in payable], InvoiceState.OPEN)


def issue_paid_invoices(app: App, events: Sequence[Event]) -> None:
    """Orders are paid: so are their invoices, which are issued now if there are none.

    Raises:
        InvoiceContradictionError: one was void.
    """
    with app.database.transaction() as tx:
        issue(app, tx, [event.data for event in tx.accept_each(events)], InvoiceState.PAID)


def issue(app: App, tx: Transaction, orders: Sequence[dict[str, Any]], state: InvoiceState) -> None:
    """Issue the invoices of orders that have none, and note of the others whose money is there that they are paid.

    Args:
        app: the service's.
        tx: where to store them.
        orders: as cart's events say them.
        state: of an invoice that is issued.

    Raises:
        InvoiceContradictionError: one of a paid order was void.
    """
    if not orders:
        return
    issuer = app.issuer
    serial = last = storage.lock_series(tx, issuer.id, Kind.INVOICE)
    known = storage.invoices_of(tx, {data["order_id"] for data in orders}, lock=True)
    for data in orders:
        invoice = known.get(data["order_id"])
        paid_at: datetime | None = data.get("paid_at")
        if invoice is None:
            serial += 1
            invoice = _invoice(app, data, serial, state, tx.now, paid_at)
            storage.insert(tx, invoice)
        elif paid_at is not None and invoice["state"] == InvoiceState.VOID:
            raise InvoiceContradictionError(data["order_id"])
        elif paid_at is not None:
            storage.mark_paid(tx, invoice["id"], paid_at)
        if paid_at is not None:
            tx.emit(INVOICE_PAID, {"order_id": data["order_id"], "invoice_number": invoice["number"]})
    if serial > last:
        storage.end_series(tx, issuer.id, Kind.INVOICE, serial)


def _invoice(
    app: App, data: dict[str, Any], serial: int, state: InvoiceState, now: datetime, paid_at: datetime | None
) -> dict[str, Any]:
    totals = data["totals"]
    return {
        "id": new_id("inv"),
        "issuer": app.issuer.id,
        "kind": Kind.INVOICE,
        "serial": serial,
        "number": document_number(Kind.INVOICE, serial),
        "order_id": data["order_id"],
        "organization_id": data["organization"]["id"],
        "refund_id": None,
        "currency": totals["total"]["currency"],
        "tax_minor": totals["tax"]["amount_minor"],
        "total_minor": totals["total"]["amount_minor"],
        "content": content_of(data, app.issuer, supplied_on(now, paid_at)),
        "issued_at": now,
        "state": state,
        "paid_at": paid_at,
        "voided_at": None,
    }
