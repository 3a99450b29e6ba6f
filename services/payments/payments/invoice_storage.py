"""Tables and queries of invoices and credit notes. It only stores.

The row of a series is locked while a number is given out and until the document is stored: whoever rolls back gives the
number back, so there are no gaps and no two of the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Statement, Transaction, UtcDateTimeColumn
from chassis.persistence.paging import page
from chassis.persistence.statements import any_of
from payments.domain.invoices import InvoiceState, Kind
from payments.domain.states import RefundState, State
from payments.remittance_storage import PAYOUT
from payments.storage import INTENT, METADATA, REFUND

SERIES = sa.Table(
    "document_series",
    METADATA,
    sa.Column("issuer", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("last_serial", sa.BigInteger, nullable=False),
    sa.CheckConstraint("last_serial >= 0", name="document_series_counts"),
)

_IS_INVOICE = sa.text("kind = 'invoice'")

#: Triggers refuse to delete a document, and to change anything but its state and the moments of it.
DOCUMENT = sa.Table(
    "invoice_document",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("issuer", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("serial", sa.BigInteger, nullable=False),
    sa.Column("number", sa.String(32), nullable=False),
    sa.Column("order_id", sa.String(64), nullable=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("refund_id", sa.String(64)),  # what a credit note was written for
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("tax_minor", sa.BigInteger, nullable=False),
    sa.Column("total_minor", sa.BigInteger, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("issued_at", UtcDateTimeColumn, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("paid_at", UtcDateTimeColumn),
    sa.Column("voided_at", UtcDateTimeColumn),
    sa.UniqueConstraint("issuer", "kind", "serial", name="invoice_document_serial"),
    sa.UniqueConstraint("refund_id", name="invoice_document_one_per_refund"),
    sa.CheckConstraint("serial > 0", name="invoice_document_serial_counts"),
    sa.CheckConstraint("tax_minor >= 0 AND total_minor >= tax_minor AND total_minor > 0", name="invoice_document_sums"),
    sa.CheckConstraint(
        "CASE WHEN kind = 'invoice' THEN state IN ('open', 'paid', 'void') AND refund_id IS NULL "
        "WHEN kind = 'credit_note' THEN state = 'issued' AND refund_id IS NOT NULL ELSE FALSE END",
        name="invoice_document_kind",
    ),
    sa.CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="invoice_document_paid_at"),
    sa.CheckConstraint("(state = 'void') = (voided_at IS NOT NULL)", name="invoice_document_voided_at"),
    sa.Index("invoice_document_one_per_order", "order_id", unique=True, sqlite_where=_IS_INVOICE,
             postgresql_where=_IS_INVOICE),
    sa.Index("invoice_document_order", "order_id"),
)  # fmt: skip


#: The id without what it begins with: invoices and credit notes sort by it in the order in which they were issued.
_POSITION = sa.func.substr(DOCUMENT.c.id, 5).label("position")
sa.Index("invoice_document_list", DOCUMENT.c.organization_id, _POSITION.element)
sa.Index("invoice_document_all", _POSITION.element)

_OF_SERIES = (SERIES.c.issuer == sa.bindparam("of_issuer"), SERIES.c.kind == sa.bindparam("of_kind"))
_LOCK_SERIES = Statement(sa.select(SERIES.c.last_serial).where(*_OF_SERIES).with_for_update())
_END_SERIES = Statement(sa.update(SERIES).where(*_OF_SERIES).values(last_serial=sa.bindparam("last")))
_INVOICES_OF = (
    sa.select(DOCUMENT)
    .where(any_of(DOCUMENT.c.order_id, "order_ids"), DOCUMENT.c.kind == sa.bindparam("of_kind"))
    .order_by(DOCUMENT.c.id)
)
_READ_INVOICES = Statement(_INVOICES_OF)
_LOCK_INVOICES = Statement(_INVOICES_OF.with_for_update())


def lock_series(tx: Transaction, issuer: str, kind: Kind) -> int:
    """The serial that was given out last; nobody else numbers a document of the series until the transaction ends."""
    serial = tx.scalar(_LOCK_SERIES, of_issuer=issuer, of_kind=kind)
    if serial is None:  # the first document of all
        tx.insert_new(SERIES, {"issuer": issuer, "kind": kind, "last_serial": 0})
        serial = tx.scalar(_LOCK_SERIES, of_issuer=issuer, of_kind=kind)
    return int(serial)


def end_series(tx: Transaction, issuer: str, kind: Kind, last_serial: int) -> None:
    """Keep the serial that was given out last; the series is locked."""
    tx.write(_END_SERIES, of_issuer=issuer, of_kind=kind, last=last_serial)


def lock_payable(tx: Transaction, order_ids: Iterable[str]) -> set[str]:
    """Those of the orders whose payment was not given up; whoever wants to give one up waits for this transaction."""
    closed = ("failed", "voided")
    rows = tx.all(
        sa.select(INTENT.c.order_id, INTENT.c.state)
        .where(INTENT.c.order_id.in_(sorted(order_ids)))
        .order_by(INTENT.c.id)
        .with_for_update()
    )
    return {row["order_id"] for row in rows if row["state"] not in closed}


def insert(tx: Transaction, values: dict[str, Any]) -> None:
    """Store a document."""
    tx.insert(DOCUMENT, values)


def invoices_of(reader: Reader, order_ids: Iterable[str], *, lock: bool = False) -> dict[str, Row]:
    """The invoices of orders, by order."""
    rows = reader.all(_LOCK_INVOICES if lock else _READ_INVOICES, order_ids=sorted(order_ids), of_kind=Kind.INVOICE)
    return {row["order_id"]: row for row in rows}


def credit_notes_of(reader: Reader, order_id: str) -> Sequence[Row]:
    """The credit notes of an order's invoice, oldest first."""
    query = sa.select(DOCUMENT).where(DOCUMENT.c.order_id == order_id, DOCUMENT.c.kind == Kind.CREDIT_NOTE)
    return reader.all(query.order_by(DOCUMENT.c.serial))


def payments_without_invoice(reader: Reader, before: datetime, after: str, most: int) -> Sequence[Row]:
    """Captured payments without any invoice of their orders, by id.

    Args:
        reader: where to ask.
        before: captured before this moment.
        after: with an id that comes after this one.
        most: so many at most.
    """
    invoice = sa.select(DOCUMENT.c.id).where(DOCUMENT.c.order_id == INTENT.c.order_id, _IS_INVOICE)
    query = sa.select(INTENT.c.id, INTENT.c.order_id).where(
        INTENT.c.state == State.CAPTURED, INTENT.c.updated_at < before, INTENT.c.id > after, ~invoice.exists()
    )
    return reader.all(query.order_by(INTENT.c.id).limit(most))


def refunds_of(reader: Reader, order_ids: Iterable[str]) -> Sequence[Row]:
    """What was given back of orders, by the provider or by bank, oldest first."""
    of_orders = INTENT.c.order_id.in_(sorted(order_ids))
    of_each = (
        sa.select(given.c.id, INTENT.c.order_id, given.c.amount_minor)
        .join(INTENT, INTENT.c.id == given.c.intent_id)
        .where(of_orders, *conditions)
        for given, conditions in (
            (REFUND, (REFUND.c.state == RefundState.SUCCEEDED,)),
            (PAYOUT, (PAYOUT.c.kind == "refund", PAYOUT.c.state == "paid")),
        )
    )
    found = sa.union_all(*of_each).subquery()
    return reader.all(sa.select(found).order_by(found.c.id))


def page_of_documents(
    reader: Reader, wanted: Mapping[str, Any], limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """One page of invoices and credit notes, newest first.

    Args:
        reader: where to ask.
        wanted: columns and the values they must have; or `purchase_order_number`; or `since` and `until`, the moment
            from which on and the one before which they were issued.
        limit: documents at most.
        cursor: of the page before.

    Raises:
        Refusal: `invalid_cursor`.
    """
    special = {
        "purchase_order_number": lambda value: DOCUMENT.c.content["purchase_order_number"].as_string() == value,
        "since": lambda value: DOCUMENT.c.issued_at >= value,
        "until": lambda value: DOCUMENT.c.issued_at < value,
    }
    query = sa.select(DOCUMENT, _POSITION).where(
        *(special[name](value) if name in special else DOCUMENT.c[name] == value for name, value in wanted.items())
    )
    return page(reader, query, _POSITION, limit, cursor)


def mark_paid(tx: Transaction, document_id: str, paid_at: datetime) -> None:
    """An open invoice is paid."""
    _end(tx, document_id, state=InvoiceState.PAID, paid_at=paid_at)


def mark_void(tx: Transaction, document_id: str, voided_at: datetime) -> None:
    """An open invoice is void."""
    _end(tx, document_id, state=InvoiceState.VOID, voided_at=voided_at)


def _end(tx: Transaction, document_id: str, **values: Any) -> None:
    is_open = (DOCUMENT.c.id == document_id, DOCUMENT.c.state == InvoiceState.OPEN)
    tx.execute(sa.update(DOCUMENT).where(*is_open).values(**values))
