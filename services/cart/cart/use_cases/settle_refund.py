"""The steps of a refund, each a guarded transition in one transaction with everything that goes with it.

The RPC reply, the event and the resumption all come through here, so that two of them saying the same are one effect.
"""

from __future__ import annotations

import logging
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.order import State
from cart.domain.refund import Refund, RefundState, TakenBack
from cart.messages import ORDER_REFUNDED
from cart.use_cases.views import refund_view, refunded_event
from chassis.messages import Event
from chassis.persistence import IdempotencyKeys, Transaction
from kernel.errors import Refusal, conflict

log = logging.getLogger(__name__)

Answer = dict[str, Any]
#: What payments says of a refund that it has given back.
SUCCEEDED, FAILED, PAYOUT = "succeeded", "failed", "awaiting_payout"


class UnknownRefundError(Exception):
    """An event names a refund that is not here, or one whose money was not to be returned yet: it is tried again, then
    parked.
    """


def note_taken_back(app: App, refund_id: str, taken: TakenBack) -> None:
    """Credits has taken its side: the money may go back."""
    with app.database.transaction() as transaction:
        storage.move_refund(
            transaction,
            refund_id,
            RefundState.RETURNING_MONEY,
            taken_back_credits=taken.taken_back,
            claimed_credits=taken.claimed,
            spent_credits=taken.spent,
            expired_credits=taken.expired,
        )


def refuse_refund(app: App, refund_id: str, refusal: Refusal) -> Answer | None:
    """Credits said no: nothing was changed, and nothing will be."""
    with app.database.transaction() as transaction:
        moved = storage.move_refund(
            transaction, refund_id, RefundState.REFUSED, ended_at=transaction.now, failure_code=refusal.code
        )
        refund = _existing(storage.read_refund(transaction, refund_id), refund_id)
        if moved:
            return _keep_answer(transaction, refund, {"refusal": refusal.as_dict()})
        return storage.answer_of_refund(transaction, refund)


def end_refund(app: App, refund_id: str, outcome: tuple[str, str | None]) -> Answer | None:
    """Bring a refund to what payments says became of it.

    Args:
        app: the parts.
        refund_id: the refund.
        outcome: ``succeeded``, ``failed`` or anything else for not known yet; and why it failed.

    Returns:
        The answer kept under its Idempotency-Key; None if it is not known yet.
    """
    if outcome[0] not in (SUCCEEDED, FAILED, PAYOUT):
        return None
    with app.database.transaction() as transaction:
        if outcome[0] == PAYOUT:
            return _await_payout(transaction, refund_id)
        return _end(transaction, refund_id, outcome)


def end_refund_by_event(app: App, event: Event, outcome: tuple[str, str | None]) -> None:
    """The same, by an event of payments.

    Raises:
        UnknownRefundError: there is no such refund, or it is not that far.
    """
    with app.database.transaction() as transaction:
        if transaction.accept(event):
            _end(transaction, event.data["refund_id"], outcome)


def _end(transaction: Transaction, refund_id: str, outcome: tuple[str, str | None]) -> Answer | None:
    known = _existing(storage.read_refund(transaction, refund_id), refund_id)
    # the order first, as whoever asks for a refund locks it: the other way round, the two could wait for each other
    storage.lock_orders(transaction, {known.order_id})
    succeeded = outcome[0] == SUCCEEDED
    target = RefundState.DONE if succeeded else RefundState.FAILED
    moved = storage.move_refund(transaction, refund_id, target, ended_at=transaction.now, failure_code=outcome[1])
    refund = _existing(storage.read_refund(transaction, refund_id), refund_id)
    if refund.state is RefundState.TAKING_BACK:
        raise UnknownRefundError(refund_id)
    if not moved:
        return storage.answer_of_refund(transaction, refund)
    return _done(transaction, refund) if succeeded else _failed(transaction, refund)


def _await_payout(transaction: Transaction, refund_id: str) -> Answer | None:
    """A person goes on with it; whoever asked is told so."""
    moved = storage.move_refund(transaction, refund_id, RefundState.AWAITING_PAYOUT)
    refund = _existing(storage.read_refund(transaction, refund_id), refund_id)
    if not moved:
        return storage.answer_of_refund(transaction, refund)
    return _keep_answer(transaction, refund, {"refund": refund_view(refund), "status": 202})


def _done(transaction: Transaction, refund: Refund) -> Answer:
    order = storage.read_order(transaction, refund.order_id)
    target = State.PARTIALLY_REFUNDED if refund.left_minor else State.REFUNDED
    if order is None or not storage.could_move_order(transaction, refund.order_id, target):
        raise RuntimeError(f"order {refund.order_id} and refund {refund.id} contradict each other")
    transaction.emit(ORDER_REFUNDED, refunded_event(order, refund))
    return _keep_answer(transaction, refund, {"refund": refund_view(refund)})


def _failed(transaction: Transaction, refund: Refund) -> Answer:
    """The credits are taken back and the money is not: a person must give it back in another way."""
    log.error("a refund needs a person", extra={"refund_id": refund.id, "order_id": refund.order_id})
    storage.flag_order(transaction, refund.order_id, "refund_failed")
    refusal = conflict(
        "refund_failed",
        "The payment provider refuses to give the money back. The credits are taken back: pay it back another way.",
        extra={"refund_id": refund.id, "reason": refund.failure_code},
    )
    return _keep_answer(transaction, refund, {"refusal": refusal.as_dict()})


def _keep_answer(transaction: Transaction, refund: Refund, answer: Answer) -> Answer:
    IdempotencyKeys(transaction, refund.scope).finish(refund.idempotency_key, answer)
    return answer


def _existing(refund: Refund | None, refund_id: str) -> Refund:
    if refund is None:
        raise UnknownRefundError(refund_id)
    return refund
