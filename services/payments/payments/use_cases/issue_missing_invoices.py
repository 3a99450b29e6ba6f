"""Issue what is missing: invoices of orders that were paid before there were any, or whose event was lost on the way.

They are numbered and dated as of now, as every document is, and say when what they are for was supplied. What was given
back of such an order is credited with it, so that no invoice claims money that the buyer has again.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from kernel.errors import Refusal
from payments import invoice_storage as storage
from payments.domain.invoices import InvoiceState
from payments.use_cases.end_invoices import credit
from payments.use_cases.issue_invoices import issue

if TYPE_CHECKING:
    from payments.bootstrap import App

_log = logging.getLogger(__name__)

#: For so long the event that an order is paid may be on its way.
_PATIENCE = timedelta(minutes=5)
#: Orders in one question to cart, and in one transaction.
_BATCH = 20


def issue_missing_invoices(app: App) -> int:
    """Go through all captured payments without an invoice; several processes may.

    Returns:
        How many were found to lack one.
    """
    after, found = "", 0
    while True:
        with app.database.reading() as reader:
            missing = storage.payments_without_invoice(reader, reader.now - _PATIENCE, after, _BATCH)
        if not missing:
            return found
        after, found = missing[-1]["id"], found + len(missing)
        try:
            orders = app.paid_orders([row["order_id"] for row in missing])
        except Refusal as refusal:
            _log.warning("invoices stay missing until cart answers: %s", refusal.code)
            return found
        with app.database.transaction() as tx:
            issue(app, tx, orders, InvoiceState.PAID)
            for refund in storage.refunds_of(tx, [order["order_id"] for order in orders]):
                credit(app, tx, refund["order_id"], refund["id"], refund["amount_minor"])
