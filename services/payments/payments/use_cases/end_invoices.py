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
        if not tx.accept(event):
            return
        serial = storage.lock_series(tx, app.issuer.id, Kind.CREDIT_NOTE) + 1
        invoice = storage.invoices_of(tx, [data["order_id"]], lock=True).get(data["order_id"])
        if invoice is None or invoice["state"] != InvoiceState.PAID:
            raise NotInvoicedYetError(data["order_id"])
        notes = storage.credit_notes_of(tx, data["order_id"])
        if any(note["refund_id"] == data["refund_id"] for note in notes):
            return
        before, amount = sum(note["total_minor"] for note in notes), data["amount"]["amount_minor"]
        tax_minor = credited_tax_minor(invoice["tax_minor"], invoice["total_minor"], before, amount)
        storage.insert(
            tx,
            {
                "id": new_id("crn"),
                "issuer": app.issuer.id,
                "kind": Kind.CREDIT_NOTE,
                "serial": serial,
                "number": document_number(Kind.CREDIT_NOTE, serial),
                "order_id": data["order_id"],
                "organization_id": invoice["organization_id"],
                "refund_id": data["refund_id"],
                "currency": invoice["currency"],
                "tax_minor": tax_minor,
                "total_minor": amount,
                "content": credit_content(invoice, tax_minor, amount),
                "issued_at": tx.now,
                "state": InvoiceState.ISSUED,
                "paid_at": None,
                "voided_at": None,
            },
        )
        storage.end_series(tx, app.issuer.id, Kind.CREDIT_NOTE, serial)
