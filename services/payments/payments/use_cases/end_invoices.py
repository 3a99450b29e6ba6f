"""What ends an invoice otherwise than by its money: the order is cancelled, or its money is given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernel.ids import new_id
from payments import invoice_storage as storage
from payments.domain.invoices import InvoiceState, Kind, credited_tax_minor, document_number
from payments.use_cases.invoice_views import credit_content

if TYPE_CHECKING:
    from chassis.messages import Event
    from chassis.persistence import Transaction
    from payments.bootstrap import App


class NotInvoicedYetError(Exception):
    """An order is refunded that has no invoice yet: its event is still on its way, so this one is tried again."""


def void_invoices(app: App, events: Sequence[Event]) -> None:
    """Orders were cancelled unpaid: their invoices are void, if they have any."""
    with app.database.transaction() as tx:
        orders = {event.data["order_id"]: event.data["cancelled_at"] for event in tx.accept_each(events)}
        for order_id, invoice in storage.invoices_of(tx, orders, lock=True).items():
            storage.mark_void(tx, invoice["id"], orders[order_id])


def credit_invoice(app: App, event: Event) -> None:
    """Money of an order was given back: a credit note says so, one for each refund.

    Raises:
        NotInvoicedYetError: there is no paid invoice yet.
    """
    data = event.data
    with app.database.transaction() as tx:
        if tx.accept(event):
            credit(app, tx, data["order_id"], data["refund_id"], data["amount"]["amount_minor"])


def credit(app: App, tx: Transaction, order_id: str, refund_id: str, amount_minor: int) -> None:
    """Write the credit note of a refund, unless there is one.

    Args:
        app: the service's.
        tx: where to store it.
        order_id: whose money was given back.
        refund_id: by which refund.
        amount_minor: how much.

    Raises:
        NotInvoicedYetError: there is no paid invoice yet.
    """
    serial = storage.lock_series(tx, app.issuer.id, Kind.CREDIT_NOTE) + 1
    invoice = storage.invoices_of(tx, [order_id], lock=True).get(order_id)
    if invoice is None or invoice["state"] != InvoiceState.PAID:
        raise NotInvoicedYetError(order_id)
    notes = storage.credit_notes_of(tx, order_id)
    if any(note["refund_id"] == refund_id for note in notes):
        return
    before = sum(note["total_minor"] for note in notes)
    tax_minor = credited_tax_minor(invoice["tax_minor"], invoice["total_minor"], before, amount_minor)
    storage.insert(
        tx,
        {
            "id": new_id("crn"),
            "issuer": app.issuer.id,
            "kind": Kind.CREDIT_NOTE,
            "serial": serial,
            "number": document_number(Kind.CREDIT_NOTE, serial),
            "order_id": order_id,
            "organization_id": invoice["organization_id"],
            "refund_id": refund_id,
            "currency": invoice["currency"],
            "tax_minor": tax_minor,
            "total_minor": amount_minor,
            "content": credit_content(invoice, tax_minor, amount_minor),
            "issued_at": tx.now,
            "state": InvoiceState.ISSUED,
            "paid_at": None,
            "voided_at": None,
        },
    )
    storage.end_series(tx, app.issuer.id, Kind.CREDIT_NOTE, serial)
