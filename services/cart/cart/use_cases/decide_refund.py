"""The second pair of eyes: another person agrees to a refund that waits for that, or does not (mission, clause 30)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.order import next_attempt_at
from cart.domain.refund import Refund, RefundState, check_refundable
from cart.use_cases.proceed_refund import proceed_refund
from cart.use_cases.refund_order import not_known_yet
from cart.use_cases.views import REFUNDERS, refund_view
from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from kernel.errors import Kind, Refusal, conflict, not_found


def decide_refund(
    app: App, caller: Identity, *, idempotency_key: str, id: str, approve: bool, reason: str | None = None
) -> dict[str, Any]:
    """Have a refund that waits for a second person made, or not.

    Args:
        app: the parts.
        caller: finance or a superuser, but not whoever asked for the refund.
        idempotency_key: the same for every retry of this request.
        id: the refund.
        approve: whether it is made.
        reason: for those who look at it later.

    Returns:
        ``{"refund", "replayed", "status"}``; status 202 while it is not known whether the money is given back.

    Raises:
        Refusal: `forbidden`; `not_found`; `second_person_required`; `refund_not_awaiting_approval`; what
            `cart.domain.refund.check_refundable` refuses; `idempotency_key_reused`.
    """
    caller.require(*REFUNDERS)
    request = request_hash("decide_refund", {"user_id": caller.user_id, "id": id, "approve": approve, "reason": reason})
    with app.database.transaction() as transaction:
        known = IdempotencyKeys(transaction, caller.organization_id).begin(idempotency_key, request, id)
        refund = None if known is not None else _decide(app, transaction, caller, id, approve, reason)
    if refund is not None and approve:
        proceed_refund(app, refund)
    # whatever has become of it: the key is for the decision, which is made once
    with app.database.reading() as reader:
        found = storage.read_refund(reader, id)
    if found is None:
        raise not_found("refund")
    if found.ended_at is None:
        return not_known_yet(app, id, replayed=known is not None)
    return {"refund": refund_view(found), "status": 201, "replayed": known is not None}


def _decide(
    app: App, transaction: Transaction, caller: Identity, refund_id: str, approve: bool, reason: str | None
) -> Refund:  # fmt: skip
    known = storage.read_refund(transaction, refund_id)
    if known is None:
        raise not_found("refund")
    locked = storage.lock_order(transaction, known.order_id)  # the order first, as everybody locks them
    refund = storage.lock_refund(transaction, refund_id)
    if locked is None or refund is None:
        raise not_found("refund")
    if refund.requested_by == caller.user_id:
        raise Refusal(
            Kind.FORBIDDEN, "second_person_required", "You asked for this refund: somebody else must decide about it."
        )
    if refund.state is not RefundState.AWAITING_APPROVAL:
        raise conflict("refund_not_awaiting_approval", "This refund does not wait for anybody's decision.")
    order, _ = locked
    decided: dict[str, Any] = {"approved_by": caller.user_id, "decided_at": transaction.now}
    if approve:
        check_refundable(order)
        settings = app.settings
        until = next_attempt_at(transaction.now, 0, settings.resume_after_s, settings.resume_at_most_s)
        decided |= {"next_attempt_at": until}
        storage.move_refund(transaction, refund_id, RefundState.TAKING_BACK, **decided)
    else:
        decided |= {"ended_at": transaction.now, "failure_code": "rejected"}
        storage.move_refund(transaction, refund_id, RefundState.REJECTED, **decided)
    transaction.audit(
        caller, "order.refund_approved" if approve else "order.refund_rejected", refund.order_id, order.organization_id,
        refund_id=refund_id, reason=reason, amount_minor=refund.amount_minor, currency=refund.currency,
    )  # fmt: skip
    return replace(refund, state=RefundState.TAKING_BACK if approve else RefundState.REJECTED, **decided)
