"""Bring an order to what payments says became of it: paid, awaiting, or cancelled, with everything that goes with it.

The RPC reply, the event and the resumption all come through here, so that two of them saying the same are one effect.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.clients import as_intent
from cart.domain.order import CANCELLED_ON_REQUEST, Decline, Intent, Order, PaymentProblem, State, is_known
from cart.messages import ORDER_BILLED, ORDER_CANCELLED, ORDER_PAID
from cart.use_cases.declines import note_decline
from cart.use_cases.views import billed_event, cancelled_event, order_view, paid_event
from chassis.messages import Event
from chassis.persistence import IdempotencyKeys, Transaction
from kernel.errors import Kind, Refusal, conflict

log = logging.getLogger(__name__)

Answer = dict[str, Any]


class UnknownOrderError(Exception):
    """An event names an order that is not here: it is tried again, then parked."""


def settle_order(app: App, order_id: str, intent: Intent) -> Answer | None:
    """Settle an order by what payments replied.

    Returns:
        The answer kept under the order's Idempotency-Key; None if it is not known yet, or a person must look at it.

    Raises:
        Refusal: `unavailable`.
    """
    if intent.state not in ("captured", "failed", "voided") and intent.instructions is None:
        if intent.next_action is not None:
            with app.database.transaction() as transaction:
                storage.note_next_action(transaction, order_id, intent.round, intent.next_action)
        return None
    try:
        with app.database.transaction() as transaction:
            return _settle(app, transaction, order_id, intent)
    except PaymentProblem as problem:
        _flag(app, order_id, problem)
        return None


def settle_orders_by_event(app: App, events: Sequence[Event], state: str) -> None:
    """Settle orders by events of payments. Nearly all of them say what the reply to `collect` has said before: those
    have no effect, however often they come, so they are not noted either.

    Args:
        app: the parts.
        events: of one kind.
        state: what they say: ``captured``, ``failed``, ``voided`` or ``requires_action``.

    Raises:
        PaymentProblem: one does not fit its order, which is flagged; the event is parked in the end.
        UnknownOrderError: there is no such order.
    """
    with app.database.reading() as reader:
        stand = storage.how_orders_stand(reader, {event.data["order_id"] for event in events})
    news = [event for event in events if not is_known(stand.get(event.data["order_id"]), as_intent(event.data, state))]
    if not news:
        return
    try:
        with app.database.transaction() as transaction:
            for event in transaction.accept_each(news):
                _settle(app, transaction, event.data["order_id"], as_intent(event.data, state))
    except PaymentProblem as problem:
        if len(events) == 1:
            _flag(app, events[0].data["order_id"], problem)
        raise


def _settle(app: App, transaction: Transaction, order_id: str, intent: Intent) -> Answer | None:
    locked = storage.lock_order(transaction, order_id)
    if locked is None:
        raise UnknownOrderError(order_id)
    order, cart_version = locked
    target = order.outcome(intent)
    if target is State.PAID:
        return _pay(transaction, order, intent, cart_version)
    if target in (State.CANCELLED, State.AWAITING_PAYMENT) and order.payment_method == "card" and intent.decline:
        note_decline(app.declines, transaction, order, intent.decline.code)
    if target is State.CANCELLED:
        return _cancel(transaction, order, intent)
    if target is State.AWAITING_PAYMENT:
        return _await(transaction, order, intent, cart_version)
    return storage.stored_answer(transaction, order)


def _pay(transaction: Transaction, order: Order, intent: Intent, cart_version: int) -> Answer:
    now = transaction.now
    paid: dict[str, Any] = {
        "paid_at": now,
        "intent_id": intent.intent_id,
        "card_brand": intent.card_brand,
        "card_last4": intent.card_last4,
        "payment_method": intent.method or order.payment_method,
    }
    storage.move_order(transaction, order.id, State.PAID, provider_token=None, **paid)
    before, order = order, replace(order, state=State.PAID, **paid)
    transaction.emit(ORDER_PAID, paid_event(order, now))
    if order.awaits_nothing:
        storage.move_order(transaction, order.id, State.FULFILLED, fulfilled_at=now)
        order = replace(order, state=State.FULFILLED, fulfilled_at=now)
    if order.has_its_lines_in_the_cart:
        _clear_cart(transaction, order, cart_version)
    return _keep_answer(transaction, before, {"status": 201, "order": order_view(order)})


def _await(transaction: Transaction, order: Order, intent: Intent, cart_version: int) -> Answer:
    """The order waits for a wire or check: at first, on new terms, or again after a card was tried in vain."""
    assert intent.instructions is not None, "else nothing is awaited"
    instructions = dict(intent.instructions)
    received = max(order.received_minor, instructions.pop("received")["amount_minor"])
    del instructions["remaining"]
    waits: dict[str, Any] = {
        "payment_method": instructions["method"],
        "expires_at": datetime.fromisoformat(instructions.pop("expires_at")),
        "instructions": instructions,
        "received_minor": received,
        "intent_id": intent.intent_id,
        "provider_token": None,
        "change_key": None,
        "next_action": None,
    }
    storage.await_payment(transaction, order.id, **waits)
    if order.has_its_lines_in_the_cart:
        _clear_cart(transaction, order, cart_version)
    after = replace(order, state=State.AWAITING_PAYMENT, **waits)
    if order.instructions is None:
        transaction.emit(ORDER_BILLED, billed_event(after, transaction.now))
    if intent.attempt_id is None or order.payment_method != "card":
        return _keep_answer(transaction, order, {"status": 201, "order": order_view(after)})
    return _keep_answer(transaction, order, {"refusal": _not_charged(order, intent).as_dict()})


def _not_charged(order: Order, intent: Intent) -> Refusal:
    if intent.decline is not None:
        return _declined(order, intent.decline)
    return conflict("partly_paid", "Part of the money has come already. Pay the rest as the instructions say.")


def _cancel(transaction: Transaction, order: Order, intent: Intent) -> Answer:
    refusal = _voided(order) if intent.state == "voided" else _failed(order, intent)
    storage.move_order(
        transaction,
        order.id,
        State.CANCELLED,
        cancelled_at=transaction.now,
        cancel_reason=refusal.extra["reason"],
        intent_id=intent.intent_id,
        provider_token=None,
    )
    transaction.emit(ORDER_CANCELLED, cancelled_event(order, transaction.now, refusal.extra["reason"]))
    if order.quote_id is not None:
        storage.reopen_quote(transaction, order.quote_id)
    return _keep_answer(transaction, order, {"refusal": refusal.as_dict()})


def _failed(order: Order, intent: Intent) -> Refusal:
    decline = intent.decline or Decline("declined", "The card was declined. Use another one.")
    if order.payment_method == "card":
        return _declined(order, decline)
    return conflict(decline.code, decline.message, {"reason": decline.code, "order_id": order.id})


def _declined(order: Order, decline: Decline) -> Refusal:
    return Refusal(
        Kind.PAYMENT_REFUSED, "card_declined", decline.message, extra={"reason": decline.code, "order_id": order.id}
    )


def _voided(order: Order) -> Refusal:
    cart = " The cart is as it was." if order.has_its_lines_in_the_cart else ""
    return conflict(
        "order_cancelled",
        f"This order was cancelled before it was paid. Nothing was charged.{cart}",
        {"reason": CANCELLED_ON_REQUEST, "order_id": order.id},
    )


def _clear_cart(transaction: Transaction, order: Order, cart_version: int) -> None:
    """What was ordered leaves the cart; what came into it meanwhile stays."""
    if cart_version == order.cart_version:
        storage.remove_cart_lines(transaction, [line.cart_line_id for line in order.lines])
    else:
        storage.lower_cart_lines(transaction, order.lines)
    storage.bump_version(transaction, order.cart_id)


def _keep_answer(transaction: Transaction, before: Order, answer: Answer) -> Answer:
    """Keep the answer for the request that waits for it, if one does; the first answer stays."""
    if before.is_asked_for:
        IdempotencyKeys(transaction, before.organization_id).finish(before.answered_key, answer)
    return answer


def _flag(app: App, order_id: str, problem: PaymentProblem) -> None:
    log.error("an order needs a person: %s", problem, extra={"order_id": order_id, "problem": problem.code})
    with app.database.transaction() as transaction:
        storage.flag_order(transaction, order_id, problem.code)
