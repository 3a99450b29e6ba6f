"""Write down what the provider said of a refund, with its event, in one transaction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chassis import failpoints
from payments import messages, storage
from payments.domain.provider import Refund, Refunded, RefundOutcome, RefundRefused, believe_refund

if TYPE_CHECKING:
    from payments.bootstrap import App

_log = logging.getLogger(__name__)


def record_refund(app: App, refund: Refund, outcome: RefundOutcome) -> RefundOutcome:
    """Settle the refund, or have the provider asked again later. Whoever comes second changes nothing.

    Returns:
        The outcome as far as it can be believed.
    """
    failpoints.reach("payments.refunded")
    believed = believe_refund(outcome, refund.amount)
    about = {"refund_id": refund.id, "order_id": refund.order_id, "intent_id": refund.intent_id}
    with app.database.transaction() as tx:
        if isinstance(believed, Refunded):
            if storage.mark_refunded(tx, refund, believed):
                tx.emit(
                    messages.REFUNDED,
                    {
                        **about,
                        "amount": believed.amount.as_dict(),
                        "provider_refund_id": believed.refund_id,
                        "refunded_at": believed.refunded_at,
                    },
                )
        elif isinstance(believed, RefundRefused):
            if storage.mark_refund_failed(tx, refund, believed.code):
                tx.emit(messages.REFUND_FAILED, {**about, "failure_code": believed.code})
                _log.error("refund %s was refused by the provider: %s", refund.id, believed.code)
        else:
            storage.check_refund_later(tx, refund, believed.retry_after_s)
            _log.warning("refund %s is unsettled: %s", refund.id, believed.reason)
    return believed
