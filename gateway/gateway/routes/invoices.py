"""Lists of invoices and credit notes: an organisation's own, and all for finance. Each itself is its order's."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.csvtext import all_rows, csv_answer, wants_csv
from gateway.web import Blueprint, ask, of_days, page

routes = Blueprint("Invoices", __name__, url_prefix="/v1/invoices", description="Invoices and credit notes, listed.")
staff_routes = Blueprint(
    "Admin invoices", __name__, url_prefix="/v1/admin/invoices", description="For finance; every call is logged."
)

_COLUMNS = (
    "number", "kind", "issuer", "state", "issued_at", "paid_at", "voided_at", "order.number", "organization.id",
    "organization.name", "purchase_order_number", "invoice_number", "totals.subtotal.amount_minor",
    "totals.tax.amount_minor", "totals.total.amount_minor", "totals.total.currency", "order.id", "id",
)  # fmt: skip
#: Documents in one file; days narrow it down.
_MOST_IN_CSV = 10_000


@routes.route("", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.DocumentInShort))
@routes.arguments(inputs.InvoiceQuery(), location="query")
def list_invoices(query: dict[str, Any]) -> Response:
    """Your organisation's invoices and credit notes, newest first; with `Accept: text/csv` up to 10,000 as a file."""
    return _listed("list_invoices", query)


@staff_routes.route("", methods=["GET"])
@audited
@staff_routes.response(200, outputs.page_of(outputs.DocumentInShort))
@staff_routes.arguments(inputs.InvoiceSearch(), location="query")
def search_invoices(query: dict[str, Any]) -> Response:
    """Anybody's invoices and credit notes, newest first; with `Accept: text/csv` up to 10,000 as a file."""
    note(**of_days(query))
    return _listed("search_invoices", query)


def _listed(method: str, query: dict[str, Any]) -> Response:
    wanted = of_days(query)
    if wants_csv():
        return csv_answer("invoices", _COLUMNS, all_rows("payments", method, wanted, _MOST_IN_CSV))
    return page(ask("payments", method, wanted), query)
