"""Documents as they are kept and shown: JSON values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from kernel.clock import rfc3339
from kernel.money import Money

if TYPE_CHECKING:
    from chassis.persistence import Row
    from payments.domain.invoices import Issuer

#: Who sees the documents of their own organisation.
READERS = ("viewer", "buyer", "admin")
#: Of the event, as it is.
_COPIED = ("lines", "totals", "purchase_order_number", "terms_version", "billing_address", "tax")


def content_of(data: Mapping[str, Any], issuer: Issuer, supplied_on: date | None) -> dict[str, Any]:
    """What an invoice says for ever, by the event that an order is billed or paid.

    Args:
        data: the event's.
        issuer: who sells.
        supplied_on: the day of the supply, if the invoice must say it.
    """
    return {
        "issuer": issuer.as_dict(),
        "order": {"id": data["order_id"], "number": data["number"]},
        "organization": {"id": data["organization"]["id"], "name": data["organization"]["name"]},
        "buyer": {"name": data["buyer"]["name"], "email": data["buyer"]["email"]},
        **{name: data[name] for name in _COPIED},
        "payment": _payment(data["payment"]),
        "supplied_on": None if supplied_on is None else supplied_on.isoformat(),
    }


def credit_content(invoice: Row, tax_minor: int, amount_minor: int) -> dict[str, Any]:
    """What a credit note says for ever."""
    content, currency = invoice["content"], invoice["currency"]
    kept = ("issuer", "order", "organization", "buyer", "billing_address", "tax", "purchase_order_number")
    return {
        **{name: content[name] for name in kept},
        "invoice_number": invoice["number"],
        "totals": {
            "subtotal": Money(amount_minor - tax_minor, currency).as_dict(),
            "tax": Money(tax_minor, currency).as_dict(),
            "total": Money(amount_minor, currency).as_dict(),
        },
    }


def invoice_view(invoice: Row, credit_notes: Sequence[Row]) -> dict[str, Any]:
    """An invoice with what was credited of it."""
    return {
        "number": invoice["number"],
        "state": invoice["state"],
        "issued_at": rfc3339(invoice["issued_at"]),
        "paid_at": rfc3339(invoice["paid_at"]) if invoice["paid_at"] else None,
        "voided_at": rfc3339(invoice["voided_at"]) if invoice["voided_at"] else None,
        "supplied_on": None,  # older ones do not say it
        **invoice["content"],
        "credit_notes": [credit_note_view(note) for note in credit_notes],
    }


def credit_note_view(note: Row) -> dict[str, Any]:
    """A credit note."""
    return {"number": note["number"], "issued_at": rfc3339(note["issued_at"]), **note["content"]}


def document_in_short(row: Row) -> dict[str, Any]:
    """An invoice or credit note as a list shows it."""
    content = row["content"]
    return {
        **{name: row[name] for name in ("id", "number", "kind", "issuer", "state")},
        **{name: rfc3339(row[name]) if row[name] else None for name in ("issued_at", "paid_at", "voided_at")},
        **{name: content[name] for name in ("order", "organization", "purchase_order_number", "totals")},
        "invoice_number": content.get("invoice_number"),
    }


def _payment(payment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "method": payment["method"],
        "card": payment.get("card"),
        "reference": payment.get("reference"),
        "due_on": payment.get("due_on"),
    }
