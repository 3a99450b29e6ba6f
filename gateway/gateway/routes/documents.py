"""Invoices, credit notes and quotes, as JSON or as PDF, whichever the client wants (Accept)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Response, current_app, request

from gateway import outputs, pdf
from gateway.web import Blueprint, answer, ask, backend, credential
from kernel.errors import not_found

routes = Blueprint("Documents", __name__, url_prefix="/v1/orders", description="Invoices, credit notes, quotes.")

_JSON, _PDF = "application/json", "application/pdf"
_FILE = {"type": "string", "format": "binary"}


@routes.route("/<id:order_id>/invoice", methods=["GET"])
@routes.response(200, outputs.Invoice, description="The invoice; with `Accept: application/pdf` as a PDF")
@routes.alt_response(200, schema=_FILE, content_type=_PDF, success=True)
def get_invoice(order_id: str) -> Response:
    """The invoice of an order: issued, a moment later, when it is paid by card, or awaits a wire or check."""
    found = ask("payments", "get_invoice", {"order_id": order_id})
    return _answer(found, found["number"], pdf.invoice)


@routes.route("/<id:order_id>/credit-notes/<id:number>", methods=["GET"])
@routes.response(200, outputs.CreditNote, description="The credit note; with `Accept: application/pdf` as a PDF")
@routes.alt_response(200, schema=_FILE, content_type=_PDF, success=True)
def get_credit_note(order_id: str, number: str) -> Response:
    """One of the credit notes that an invoice lists: what was refunded of it."""
    notes = ask("payments", "get_invoice", {"order_id": order_id})["credit_notes"]
    found = next((note for note in notes if note["number"] == number), None)
    if found is None:
        raise not_found("credit note")
    return _answer(found, number, pdf.credit_note)


@routes.route("/<id:order_id>/quote", methods=["GET"])
@routes.response(200, outputs.Quote, description="The quote; with `Accept: application/pdf` as a PDF")
@routes.alt_response(200, schema=_FILE, content_type=_PDF, success=True)
def get_quote(order_id: str) -> Response:
    """A quote to pass on."""
    found = ask("cart", "get_order", {"id": order_id})
    if found["kind"] != "quote":
        raise not_found("quote")
    shown = {
        **found,
        "support_cards": [],
        "issuer": ask("payments", "get_issuer"),
        "organization": {name: credential().organization[name] for name in ("id", "name")},
    }
    return _answer(shown, found["number"], pdf.quote)


def _answer(data: Mapping[str, Any], name: str, draw: Callable[[Mapping[str, Any], Sequence[str]], bytes]) -> Response:
    if request.accept_mimetypes.best_match([_JSON, _PDF], default=_JSON) == _JSON:
        return answer(data, headers={"Vary": "Accept"})
    headers = {"Content-Disposition": f'inline; filename="{name}.pdf"', "Vary": "Accept"}
    return current_app.response_class(draw(data, backend().settings.pdf_fonts), 200, headers, mimetype=_PDF)
