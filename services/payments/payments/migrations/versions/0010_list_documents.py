"""Invoices and credit notes are listed together: an organisation's, and all"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    position = sa.text("substr(id, 5)")  # without what it begins with, which is another for each kind
    op.create_index("invoice_document_list", "invoice_document", ["organization_id", position])
    op.create_index("invoice_document_all", "invoice_document", [position])
