"""Find out what became of refunds whose outcome is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payments import storage
from payments.domain.provider import NotSeen, Refund, RefundOutcome, Unknown
from payments.use_cases.record_refund import record_refund

if TYPE_CHECKING:
    from payments.bootstrap import App

#: Refunds settled by one run, so that a stop of the process need not wait for a backlog.
_BATCH = 100


def settle_refunds(app: App) -> int:
    """Settle the refunds that are due, as long as the provider makes sense (as `settle_payments` does).

    Returns:
        How many refunds were settled.
    """
    for settled in range(_BATCH):
        with app.database.transaction() as tx:
            refund = storage.claim_due_refund(tx, app.lease)
        if refund is None or isinstance(settle_refund(app, refund), Unknown):
            return settled
    return _BATCH


def settle_refund(app: App, refund: Refund) -> RefundOutcome:
    """Ask the provider about the refund's key, and ask for the refund (with the same key) if nothing has reached it."""
    found = app.provider.find_refund(refund.key)
    if isinstance(found, NotSeen):
        found = app.provider.refund(refund.key, refund.charge_id, refund.amount)
    return record_refund(app, refund, found)
