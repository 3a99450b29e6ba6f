"""Invoices and credit notes, numbered without gaps"""

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn

revision = "0008"
down_revision = "0007"

_FROZEN = (
    "id", "issuer", "kind", "serial", "number", "order_id", "organization_id", "refund_id", "currency", "tax_minor",
    "total_minor", "content", "issued_at",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "document_series",
        sa.Column("issuer", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("last_serial", sa.BigInteger, nullable=False),
        sa.CheckConstraint("last_serial >= 0", name="document_series_counts"),
    )
    op.create_table(
        "invoice_document",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("issuer", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("number", sa.String(32), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("refund_id", sa.String(64)),
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
        sa.CheckConstraint(
            "tax_minor >= 0 AND total_minor >= tax_minor AND total_minor > 0", name="invoice_document_sums"
        ),
        sa.CheckConstraint(
            "CASE WHEN kind = 'invoice' THEN state IN ('open', 'paid', 'void') AND refund_id IS NULL "
            "WHEN kind = 'credit_note' THEN state = 'issued' AND refund_id IS NOT NULL ELSE FALSE END",
            name="invoice_document_kind",
        ),
        sa.CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="invoice_document_paid_at"),
        sa.CheckConstraint("(state = 'void') = (voided_at IS NOT NULL)", name="invoice_document_voided_at"),
    )
    is_invoice = sa.text("kind = 'invoice'")
    op.create_index(
        "invoice_document_one_per_order",
        "invoice_document",
        ["order_id"],
        unique=True,
        sqlite_where=is_invoice,
        postgresql_where=is_invoice,
    )
    op.create_index("invoice_document_order", "invoice_document", ["order_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_document_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'documents are kept' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        refuse = "FOR EACH ROW EXECUTE FUNCTION refuse_document_change()"
    else:
        refuse = "BEGIN SELECT RAISE(ABORT, 'documents are kept'); END"
    op.execute(
        f"CREATE TRIGGER invoice_document_frozen BEFORE UPDATE OF {', '.join(_FROZEN)} ON invoice_document {refuse}"
    )
    op.execute(f"CREATE TRIGGER invoice_document_kept BEFORE DELETE ON invoice_document {refuse}")
