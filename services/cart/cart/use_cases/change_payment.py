"""Change how an unpaid order is paid: by another card, wire or check; or resume a card that is under way (clause 17).

At most one payment can take the money: payments gives a card that is under way up before anything else begins, and the
provider decides whether that came first (docs/adr/0009). A card is tried in place of a wire or check only while none of
the money has come, and none is recorded while a card is being tried.
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
from cart.use_cases.declines import check_declines
from cart.use_cases.overdue import end_overdue
from cart.use_cases.resume_orders import resume_order
from cart.use_cases.settle_order import settle_order
from cart.use_cases.views import BUYERS, order_view
from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, Transaction, find_answer, request_hash
from kernel.errors import Refusal, conflict, not_found, unavailable
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
        payment: ``{"method", "payment_method_id", "provider_token"}``; by card without any: resume the card that is
            under way, because the payer has confirmed it, say.

    Returns:
        ``{"order", "replayed", "status"}``; status 202 while it is not known whether the card was charged.

    Raises:
        Refusal: `forbidden`; `not_found`; `idempotency_key_reused`, `idempotency_key_in_flight`; what
            `cart.domain.checkout.check_payment` refuses; `quote_not_converted`, `order_already_paid`,
            `order_cancelled`, `partly_paid`, `payment_under_way`, `order_needs_a_person`; `too_many_attempts`;
            `card_declined`; `payment_method_unavailable`; `unavailable`.
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
    if _is_resumption(order, payment):
        return _resume(app, order, idempotency_key, wanted)
    chosen = checkout.check_payment(payment)
    _check(order, chosen)
    if order.state is State.AWAITING_PAYMENT and chosen.method != "card":
        return _await_by(app, caller, order, chosen, (idempotency_key, wanted))
    if chosen.method == "card":
        check_declines(app, caller, order.client_address)
    app.payments.check(order.organization_id, chosen.method, chosen.payment_method_id)
    with app.database.transaction() as transaction:
        turned = _turn_to(app, transaction, caller, order, chosen, (idempotency_key, wanted))
    if isinstance(turned, KnownAnswer):  # the same request came twice at once
        return answer_again(app, turned)
    settle_order(app, order.id, app.payments.collect(turned))
    with app.database.reading() as reader:  # whoever settled it has kept the answer under this key
        known = find_answer(reader, caller.organization_id, idempotency_key, wanted)
        order = storage.read_order(reader, order.id) or turned
    if known is None or known.answer is None:
        return not_known_yet(order, replayed=False)
    return reply(known.answer, replayed=False)


def _is_resumption(order: Order, payment: Mapping[str, Any]) -> bool:
    """By card, and no other card is named: go on with the one there is."""
    if payment["method"] != "card" or any(payment.get(name) for name in ("provider_token", "payment_method_id")):
        return False
    return order.payment_method == "card" and order.state is not State.AWAITING_PAYMENT


def _resume(app: App, order: Order, key: str, wanted: str) -> dict[str, Any]:
    """Have payments look at once what became of the card. An answer that is final is kept under the key.

    Raises:
        Refusal: `order_cancelled`; `card_declined`.
    """
    if order.state is State.CANCELLED:
        raise _cancelled()
    answer: dict[str, Any] | None = {"status": 201, "order": order_view(order)}
    if order.state is State.PENDING_PAYMENT:
        answer = resume_order(app, order) if order.cancel_requested_at else settle_order(
            app, order.id, app.payments.collect(order)
        )  # fmt: skip
    if answer is None:
        with app.database.reading() as reader:
            return not_known_yet(storage.read_order(reader, order.id) or order, replayed=False)
    with app.database.transaction() as transaction:
        keys = IdempotencyKeys(transaction, order.organization_id)
        known = keys.begin(key, wanted, order.id)
        if known is None:
            keys.finish(key, answer)
    return reply(answer, replayed=known is not None)


def _check(order: Order, chosen: checkout.Payment) -> None:
    if order.kind == QUOTE:
        raise conflict("quote_not_converted", "This is a quote: nothing is paid for it until you convert it.")
    if order.problem is not None:
        raise conflict(
            "order_needs_a_person", "Something is wrong with this order's payment. Our staff is looking at it."
        )
    if order.state is State.CANCELLED:
        raise _cancelled()
    if order.cancel_requested_at is not None:
        raise conflict("payment_under_way", "This order is being cancelled. Look at it again in a moment.")
    if order.state not in (State.PENDING_PAYMENT, State.AWAITING_PAYMENT):
        raise conflict("order_already_paid", "This order is paid.")
    if chosen.method == "card" and order.received_minor:
        raise conflict("partly_paid", "Part of the money has come already. Pay the rest as the instructions say.")


def _cancelled() -> Refusal:
    return conflict("order_cancelled", "This order is cancelled. Order again.")


def _await_by(
    app: App, caller: Identity, order: Order, chosen: checkout.Payment, request: tuple[str, str]
) -> dict[str, Any]:
    """Wire instead of check, or the other way round. Asking twice is one change, so the key is kept with its answer."""
    intent = app.payments.await_by(replace(order, payment_method=chosen.method))
    if intent.instructions is None and intent.state == "processing":
        raise unavailable()
    if intent.decline is not None and intent.intent_id is None:  # the method is not open: nothing has changed
        raise conflict(intent.decline.code, intent.decline.message)
    settle_order(app, order.id, intent)
    with app.database.transaction() as transaction:
        keys = IdempotencyKeys(transaction, order.organization_id)
        key, wanted = request
        known = keys.begin(key, wanted, order.id)
        changed = storage.read_order(transaction, order.id) or order
        if known is None:
            keys.finish(key, {"status": 201, "order": order_view(changed)})
            transaction.audit(caller, "order.payment_changed", order.id, order.organization_id, method=chosen.method)
    return {"order": order_view(changed), "status": 201, "replayed": known is not None}


def _turn_to(
    app: App,
    transaction: Transaction,
    caller: Identity,
    seen: Order,
    chosen: checkout.Payment,
    request: tuple[str, str],
) -> Order | KnownAnswer:
    """The key and the change stand or fall together; whatever dies from here on is resumed like any payment."""
    key, wanted = request
    keys = IdempotencyKeys(transaction, seen.organization_id)
    known = keys.begin(key, wanted, seen.id)
    if known is not None:
        return known
    locked = storage.lock_order(transaction, seen.id)
    if locked is None:
        raise not_found("order")
    order, _ = locked
    _check(order, chosen)
    if order.is_asked_for:  # whoever asked before was told to look again, and this is what there is to see
        keys.finish(order.answered_key, {"status": 202, "order": order_view(order)})
    settings = app.settings
    tried: dict[str, Any] = {
        "payment_method": chosen.method,
        "provider_token": chosen.provider_token,
        "payment_method_id": chosen.payment_method_id,
        "save_card": chosen.save,
        "attempt_id": new_id("att"),
        "payment_round": order.payment_round + 1,
        "change_key": key,
        "next_action": None,
        "attempts": 0,
        "next_attempt_at": next_attempt_at(transaction.now, 0, settings.resume_after_s, settings.resume_at_most_s),
    }
    storage.pay_otherwise(transaction, order.id, **tried)
    transaction.audit(caller, "order.payment_changed", order.id, order.organization_id, method=chosen.method)
    return replace(order, state=State.PENDING_PAYMENT, **tried)
