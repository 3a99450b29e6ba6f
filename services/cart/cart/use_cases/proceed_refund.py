"""Go on with a refund from wherever it stands, until it ends or somebody does not answer.

Money is returned only after credits has taken its side: that is what the state `returning_money` says. Each step may be
done again by whoever resumes it; credits and payments do it once for each refund.
"""

from __future__ import annotations

import logging

from cart.bootstrap import App
from cart.domain.refund import Refund, RefundState
from cart.use_cases.settle_refund import Answer, end_refund, note_taken_back, refuse_refund
from chassis import failpoints
from kernel.errors import Kind, Refusal

log = logging.getLogger(__name__)

#: Answers of credits by which it has certainly taken nothing back.
_FINAL = frozenset({Kind.CONFLICT, Kind.INVALID, Kind.NOT_FOUND, Kind.FORBIDDEN})


def proceed_refund(app: App, refund: Refund) -> Answer | None:
    """Do the steps that are left.

    Args:
        app: the parts.
        refund: one that nobody else is at.

    Returns:
        The answer kept under its Idempotency-Key; None if it is not known yet.
    """
    try:
        if refund.state is RefundState.TAKING_BACK:
            try:
                taken = app.credits.take_back(refund)
            except Refusal as refusal:
                if refusal.kind not in _FINAL:
                    raise
                return refuse_refund(app, refund.id, refusal)
            failpoints.reach("cart.refunding")
            note_taken_back(app, refund.id, taken)
        outcome = app.payments.refund(refund)
    except Refusal as refusal:
        log.warning("a refund is not known yet; it will be resumed", extra={"code": refusal.code})
        return None
    return end_refund(app, refund.id, outcome)
