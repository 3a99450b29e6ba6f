"""Invoices and credit notes: their numbers, and what a credit note says of the tax."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a document is. The values are stored: never rename one."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class InvoiceState(StrEnum):
    """Where a document stands. The values are stored and public: never rename one."""

    OPEN = "open"  # an invoice that waits for its money
    PAID = "paid"
    VOID = "void"  # its order was cancelled unpaid; the number stays taken
    ISSUED = "issued"  # a credit note: nothing becomes of it any more


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who sells; every issuer numbers its documents by itself.

    Args:
        id: of its series of numbers; never change it while the company is the same.
        name: as it stands on the documents.
        address: the same, its lines joined by line breaks.
        tax_number: the same; empty if there is none.
    """

    id: str = "store"
    name: str = "Punchcard"
    address: str = ""
    tax_number: str = ""

    def as_dict(self) -> dict[str, str]:
        """As a document keeps it."""
        return {"name": self.name, "address": self.address, "tax_number": self.tax_number}


def document_number(kind: Kind, serial: int) -> str:
    """The number for people: ``INV-000001``, ``CN-000001``. Each series has no gaps, as tax offices ask for."""
    return f"{'INV' if kind is Kind.INVOICE else 'CN'}-{serial:06d}"


def supplied_on(issued_at: datetime, paid_at: datetime | None) -> date | None:
    """The day of the supply, which an invoice must say if it is another than its own (Directive 2006/112/EC, 226 (7)).

    What is sold is handed over as soon as it is paid. None: it is that day, or is still to come.
    """
    day = None if paid_at is None else paid_at.astimezone(UTC).date()
    return None if day == issued_at.astimezone(UTC).date() else day


def credited_tax_minor(tax_minor: int, total_minor: int, before_minor: int, amount_minor: int) -> int:
    """The part of an invoice's tax that a credit note gives back, in minor units.

    Rounded half up on what was credited up to and with this note, less what the notes before it gave back, so that the
    notes of an invoice that is credited whole have exactly its tax, however many they are.

    Args:
        tax_minor: of the invoice.
        total_minor: of the invoice, tax included; more than zero.
        before_minor: credited by the notes before, tax included.
        amount_minor: of this note, tax included.
    """

    def part(credited_minor: int) -> int:
        return (2 * tax_minor * credited_minor + total_minor) // (2 * total_minor)

    return part(before_minor + amount_minor) - part(before_minor)
