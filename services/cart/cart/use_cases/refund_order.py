"""Refund an order: credits take their side first, then the money goes back (`proceed_refund`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.order import next_attempt_at
from cart.domain.refund import ACTIVE, Refund, RefundState, check_refundable, share_of
from cart.use_cases.proceed_refund import proceed_refund
from cart.use_cases.resume_refunds import claim
from cart.use_cases.settle_refund import Answer
from cart.use_cases.views import REFUNDERS, refund_view
from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, Transaction, in_flight, refuse_as_kept, request_hash
from kernel.errors import Refusal, conflict, not_found
from kernel.ids import new_id
from kernel.money import Money


def refund_order(
    app: App,
    caller: Identity,
    *,
    idempotency_key: str,
    order_id: str,
    reason: str,
    claimed: str,
    lines: Sequence[Mapping[str, Any]] | None = None,
    amount: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give money of an order back, and take back what it has brought: pieces of lines, or all that is left.

    An amount is given back without taking anything back. Above the amount of the settings, together with what was given
    back before, another person must agree first (`decide_refund`).

    Args:
        app: the parts.
        caller: finance or a superuser.
        idempotency_key: the same for every retry of this request.
        order_id: any organisation's.
        reason: for those who look at it later.
        claimed: ``refuse`` if any of the credits were claimed or spent, or ``refund_anyway``: those stay where they
            are.
        lines: pieces (``line_id``, ``quantity``) of lines.
        amount: money as a dictionary; less than what is left.

    Returns:
        ``{"refund", "replayed", "status"}``; status 202 while it is not known whether the money is given back.

    Raises:
        Refusal: `forbidden`; `not_found`; what `cart.domain.refund` refuses; `refund_in_progress`;
            `credits_in_use` with how many are claimed and spent; `refund_failed`; `idempotency_key_reused`,
            `idempotency_key_in_flight`.
    """
    caller.require(*REFUNDERS)
    wish: dict[str, Any] = {"order_id": order_id, "reason": reason, "claimed": claimed}
    if lines is not None:
        wish["lines"] = [dict(line) for line in lines]
    if amount is not None:
        wish["amount"] = dict(amount)
    with app.database.transaction() as transaction:
        begun = _begin(app, transaction, caller, idempotency_key, wish)
    if isinstance(begun, KnownAnswer):
        return _answer_again(app, begun)
    if begun.state is RefundState.AWAITING_APPROVAL:
        return not_known_yet(app, begun.id, replayed=False)
    answer = proceed_refund(app, begun)
    return not_known_yet(app, begun.id, replayed=False) if answer is None else reply(answer, replayed=False)


def _begin(
    app: App, transaction: Transaction, caller: Identity, idempotency_key: str, wish: dict[str, Any]
) -> Refund | KnownAnswer:
    """The key and the refund stand or fall together."""
    refund_id = new_id("rfd")
    keys = IdempotencyKeys(transaction, caller.organization_id)
    known = keys.begin(idempotency_key, request_hash("refund_order", wish), refund_id)
    if known is not None:
        return known
    locked = storage.lock_order(transaction, wish["order_id"])
    if locked is None:
        raise not_found("order")
    order, _ = locked
    check_refundable(order)
    settings = app.settings
    earlier = storage.refunds_of(transaction, [order.id]).get(order.id, [])
    if any(refund.state in ACTIVE for refund in earlier):
        raise _in_progress()
    amount = wish.get("amount")
    share = share_of(order, earlier, wish.get("lines"), Money(**amount) if amount else None)
    alone = order.total_minor - share.left_minor <= settings.refund_approval_above_minor
    refund = Refund(
        id=refund_id,
        state=RefundState.TAKING_BACK if alone else RefundState.AWAITING_APPROVAL,
        **asdict(share),
        currency=order.currency,
        order_id=order.id,
        reason=wish["reason"],
        claimed=wish["claimed"],
        requested_by=caller.user_id,
        scope=caller.organization_id,
        idempotency_key=idempotency_key,
        requested_at=transaction.now,
        attempts=0,
        next_attempt_at=next_attempt_at(transaction.now, 0, settings.resume_after_s, settings.resume_at_most_s),
    )
    if not storage.insert_refund(transaction, refund):
        raise _in_progress()
    if not alone:
        keys.finish(idempotency_key, {"refund": refund_view(refund), "status": 202})
    transaction.audit(
        caller, "order.refund_requested", order.id, order.organization_id, refund_id=refund_id, reason=wish["reason"],
        claimed=wish["claimed"], amount_minor=refund.amount_minor, currency=refund.currency,
    )  # fmt: skip
    return refund


def _in_progress() -> Refusal:
    return conflict("refund_in_progress", "Another refund of this order is under way. Look at it.")


def _answer_again(app: App, known: KnownAnswer) -> dict[str, Any]:
    """Replay the first answer; or, if its process seems to have died, do what is left of its work."""
    if known.answer is not None:
        return reply(known.answer, replayed=True)
    with app.database.transaction() as transaction:
        refund = claim(app, transaction, known.subject_id)
    if refund is None:
        raise in_flight()
    answer = proceed_refund(app, refund)
    return not_known_yet(app, refund.id, replayed=True) if answer is None else reply(answer, replayed=True)


def reply(answer: Answer, *, replayed: bool) -> dict[str, Any]:
    """A kept answer as it is given.

    Raises:
        Refusal: the answer is one.
    """
    refuse_as_kept(answer, replayed=replayed)
    return {"refund": answer["refund"], "status": answer.get("status", 201), "replayed": replayed}


def not_known_yet(app: App, refund_id: str, *, replayed: bool) -> dict[str, Any]:
    """The answer while the refund is not ended."""
    with app.database.reading() as reader:
        refund = storage.read_refund(reader, refund_id)
    if refund is None:
        raise not_found("refund")
    return {"refund": refund_view(refund), "status": 202, "replayed": replayed}
