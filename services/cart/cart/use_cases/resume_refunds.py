"""Resume refunds that are under way and that nobody is at: their process died, or somebody did not answer in time."""

from __future__ import annotations

from datetime import timedelta

from cart import storage
from cart.bootstrap import App
from cart.domain.order import next_attempt_at
from cart.domain.refund import Refund
from cart.use_cases.proceed_refund import proceed_refund
from chassis.persistence import Transaction

#: Refunds in one run at most, so that a run ends.
_REFUNDS_A_RUN = 100


def resume_refunds(app: App) -> None:
    """Go on with every refund whose lease has run out; several processes share them without overlapping.

    The first that is not known yet ends the run: whoever does not answer is asked once a run, not once a refund.
    """
    for _ in range(_REFUNDS_A_RUN):
        with app.database.transaction() as transaction:
            refund = claim(app, transaction)
        if refund is None or proceed_refund(app, refund) is None:
            return


def claim(app: App, transaction: Transaction, refund_id: str | None = None) -> Refund | None:
    """A refund to resume (that one, or any), with a lease on it that grows with every attempt."""
    settings = app.settings
    refund = storage.claim_refund(transaction, timedelta(seconds=settings.resume_at_most_s), refund_id)
    if refund is not None:
        until = next_attempt_at(
            transaction.now, refund.attempts + 1, settings.resume_after_s, settings.resume_at_most_s
        )  # fmt: skip
        storage.lease_refund(transaction, refund, until)
    return refund
