"""Show the invoice of an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.identity import STAFF
from kernel.errors import not_found
from payments import invoice_storage as storage
from payments.use_cases.invoice_views import READERS, invoice_view

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App


def get_invoice(app: App, caller: Identity, *, order_id: str) -> dict[str, Any]:
    """The invoice of an order of the caller's organisation, with its credit notes; of anybody's for staff.

    Raises:
        Refusal: `forbidden`; `not_found`, also for another organisation's, and for an order that has none (yet).
    """
    caller.require(*READERS, *STAFF)
    with app.database.reading() as reader:
        invoice = storage.invoices_of(reader, [order_id]).get(order_id)
        notes = storage.credit_notes_of(reader, order_id) if invoice is not None else []
    is_staff = caller.role in STAFF
    if invoice is None or (not is_staff and invoice["organization_id"] != caller.organization_id):
        raise not_found("invoice")
    return invoice_view(invoice, notes)
