"""Change how an order is paid that awaits a wire or check: to the other of the two, or to a card (clause 17).

At most one payment can take the money, since payments decides under one lock: a card is tried only while none of the
money has come, and none is recorded while a card is being tried. After a decline the order awaits its money as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain import checkout
from cart.domain.order import QUOTE, Order, State, next_attempt_at
from cart.use_cases.answering import answer_again, not_known_yet, reply
from cart.use_cases.overdue import end_overdue
from cart.use_cases.settle_order import settle_order
from cart.use_cases.views import BUYERS, order_view
from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, Transaction, find_answer, request_hash
from kernel.errors import conflict, not_found, unavailable
from kernel.ids import new_id


def change_payment(
    app: App, caller: Identity, *, id: str, idempotency_key: str, payment: Mapping[str, Any]
) -> dict[str, Any]:
    """Have an order paid in another way.

    Args:
        app: the parts.
        caller: a buyer of the order's organisation.
        id: the order.
        idempotency_key: the same for every retry of this request.
        payment: ``{"method", "payment_method_id", "provider_token"}``.

    Returns:
        ``{"order", "replayed", "status"}``; status 202 while it is not known whether the card was charged.

    Raises:
        Refusal: `forbidden`; `not_found`; `idempotency_key_reused`, `idempotency_key_in_flight`; what
            `cart.domain.checkout.check_payment` refuses; `quote_not_converted`; `payment_under_way`,
            `order_already_paid`, `order_cancelled`, `partly_paid`; `card_declined`; `payment_method_unavailable`;
            `unavailable`.
    """
    caller.require(*BUYERS)
    wanted = request_hash("change_payment", {"user_id": caller.user_id, "id": id, "payment": dict(payment)})
    with app.database.reading() as reader:
        known = find_answer(reader, caller.organization_id, idempotency_key, wanted)
        order = storage.read_order(reader, id, caller.organization_id)
    if known is not None:
        return answer_again(app, known)
    if order is None:
        raise not_found("order")
    (order,) = end_overdue(app, [order], reader.now)
    chosen = checkout.check_payment(payment)
    _check(order, chosen)
    if chosen.method != "card":
        return _await_by(app, order, chosen, idempotency_key, wanted)
    with app.database.transaction() as transaction:
        turned = _turn_to_card(app, transaction, order, chosen, idempotency_key, wanted)
    if isinstance(turned, KnownAnswer):  # the same request came twice at once
        return answer_again(app, turned)
    settle_order(app, order.id, app.payments.collect(turned))
    with app.database.reading() as reader:  # whoever settled it has kept the answer under this key
        known = find_answer(reader, caller.organization_id, idempotency_key, wanted)
    if known is None or known.answer is None:
        return not_known_yet(turned, replayed=False)
    return reply(known.answer, replayed=False)


def _check(order: Order, chosen: checkout.Payment) -> None:
    if order.kind == QUOTE:
        raise conflict("quote_not_converted", "This is a quote: nothing is paid for it until you convert it.")
    if order.state is State.PENDING_PAYMENT:
        raise conflict("payment_under_way", "This order is being paid just now. Look at it again in a moment.")
    if order.state is State.CANCELLED:
        raise conflict("order_cancelled", "This order is cancelled. Order again.")
    if order.state is not State.AWAITING_PAYMENT:
        raise conflict("order_already_paid", "This order is paid.")
    if chosen.method == "card" and order.received_minor:
        raise conflict("partly_paid", "Part of the money has come already. Pay the rest as the instructions say.")


def _await_by(app: App, order: Order, chosen: checkout.Payment, key: str, wanted: str) -> dict[str, Any]:
    """Wire instead of check, or the other way round. Asking twice is one change, so the key is kept with its answer."""
    intent = app.payments.collect(replace(order, payment_method=chosen.method, attempt_id=None))
    if intent.instructions is None and intent.state == "processing":
        raise unavailable()
    if intent.decline is not None and intent.intent_id is None:  # the method is not open: nothing has changed
        raise conflict(intent.decline.code, intent.decline.message)
    settle_order(app, order.id, intent)
    with app.database.transaction() as transaction:
        keys = IdempotencyKeys(transaction, order.organization_id)
        known = keys.begin(key, wanted, order.id)
        changed = storage.read_order(transaction, order.id) or order
        if known is None:
            keys.finish(key, {"status": 201, "order": order_view(changed)})
    return {"order": order_view(changed), "status": 201, "replayed": known is not None}


def _turn_to_card(
    app: App, transaction: Transaction, seen: Order, chosen: checkout.Payment, key: str, wanted: str
) -> Order | KnownAnswer:
    """The key and the try stand or fall together; whatever dies from here on is resumed like any payment."""
    known = IdempotencyKeys(transaction, seen.organization_id).begin(key, wanted, seen.id)
    if known is not None:
        return known
    locked = storage.lock_order(transaction, seen.id)
    if locked is None:
        raise not_found("order")
    order, _ = locked
    _check(order, chosen)
    settings = app.settings
    tried: dict[str, Any] = {
        "payment_method": "card",
        "provider_token": chosen.provider_token,
        "attempt_id": new_id("att"),
        "change_key": key,
        "attempts": 0,
        "next_attempt_at": next_attempt_at(transaction.now, 0, settings.resume_after_s, settings.resume_at_most_s),
    }
    storage.move_order(transaction, order.id, State.PENDING_PAYMENT, **tried)
    return replace(order, state=State.PENDING_PAYMENT, **tried)
