"""Cancel an unpaid order: its payment is given up, or found to have been taken. One of the two, never both.

The wish is committed first, with the key; from then on nobody collects for the order. Payments has the provider decide
which came first, and what it says comes through `settle_order` like every other outcome, so that a process that dies
in between leaves nothing undone (`resume_orders`).
"""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.order import QUOTE, Order, State, next_attempt_at
from cart.use_cases.cancel_quote import cancel_quote
from cart.use_cases.settle_order import settle_order
from cart.use_cases.views import BUYERS, order_view
from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, Transaction, in_flight, refuse_as_kept, request_hash
from kernel.errors import Refusal, conflict, not_found

Answer = dict[str, Any]

_UNPAID = (State.PENDING_PAYMENT, State.AWAITING_PAYMENT)


def cancel_order(app: App, caller: Identity, *, idempotency_key: str, id: str) -> Answer:
    """Cancel an order of the caller's organisation that is not paid.

    Args:
        app: the parts.
        caller: a buyer.
        idempotency_key: the same for every retry of this request.
        id: the order's.

    Returns:
        ``{"order", "replayed", "status"}``: 200 and the cancelled order (one that was cancelled before, too); 202 and
        the order as it is while the payment provider has not answered: it is asked until it has.

    Raises:
        Refusal: `forbidden`; `not_found`; `order_already_paid`; `order_needs_a_person`; `idempotency_key_reused`,
            `idempotency_key_in_flight`; what `cancel_quote` refuses.
    """
    caller.require(*BUYERS)
    request = request_hash("cancel_order", {"user_id": caller.user_id, "id": id})
    with app.database.transaction() as transaction:
        seen = storage.read_order(transaction, id, caller.organization_id)
        if seen is not None and seen.kind == QUOTE:
            return cancel_quote(transaction, caller, idempotency_key, request, seen)
        known, order = _begin(app, transaction, caller, idempotency_key, request, seen)
    if known is not None and known.answer is not None:
        return _reply(known.answer, replayed=True)
    if order.state in _UNPAID:
        settle_order(app, id, app.payments.void(order))
    return _reply(_finish(app, caller, idempotency_key, id), replayed=known is not None)


def _begin(
    app: App, transaction: Transaction, caller: Identity, key: str, request: str, seen: Order | None
) -> tuple[KnownAnswer | None, Order]:
    """Take the key and note the wish; what is known about the key, and the order as it was."""
    if seen is None:
        raise not_found("order")
    known = IdempotencyKeys(transaction, caller.organization_id).begin(key, request, seen.id)
    locked = storage.lock_order(transaction, seen.id)
    if locked is None:
        raise not_found("order")
    order, _ = locked
    if known is not None and (known.answer is not None or order.state is not State.PENDING_PAYMENT):
        return known, order
    if known is not None and order.next_attempt_at > transaction.now:
        raise in_flight()
    if order.problem is not None:
        raise conflict(
            "order_needs_a_person", "Something is wrong with this order's payment. Our staff is looking at it."
        )
    if order.state in _UNPAID:
        settings = app.settings
        transaction.audit(caller, "order.cancel_requested", order.id, order.organization_id)
        storage.request_cancel(
            transaction,
            order,
            next_attempt_at(transaction.now, order.attempts, settings.resume_after_s, settings.resume_at_most_s),
        )
    return known, order


def _finish(app: App, caller: Identity, key: str, order_id: str) -> Answer:
    """The answer by what the order has come to; kept under the key if that is final."""
    with app.database.transaction() as transaction:
        locked = storage.lock_order(transaction, order_id)
        if locked is None:
            raise not_found("order")
        order, _ = locked
        if order.state in _UNPAID:
            return {"order": order_view(order), "status": 202}
        answer: Answer = {"order": order_view(order), "status": 200}
        if order.state is not State.CANCELLED:
            answer = {"refusal": _already_paid(order).as_dict()}
        IdempotencyKeys(transaction, caller.organization_id).finish(key, answer)
        return answer


def _already_paid(order: Order) -> Refusal:
    return conflict(
        "order_already_paid",
        "The order was paid before it could be cancelled. What was bought is yours; ask us if you want a refund.",
        {"order_id": order.id},
    )


def _reply(answer: Answer, *, replayed: bool) -> Answer:
    refuse_as_kept(answer, replayed=replayed)
    return {**answer, "replayed": replayed}
