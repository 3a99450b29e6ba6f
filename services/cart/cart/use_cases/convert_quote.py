"""Convert a quote: an order with its lines, prices and terms, paid by card, wire or check. Once (mission, clause 20).

The quote is locked while the order is written, and the database has one order at most for a quote that was not
cancelled. An order that is cancelled unpaid, as after a decline, leaves the quote open again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain import checkout
from cart.domain import quote as quotes
from cart.domain.order import Order, State, next_attempt_at, order_number
from cart.use_cases.answering import answer_again, not_known_yet, reply
from cart.use_cases.declines import check_declines
from cart.use_cases.settle_order import settle_order
from cart.use_cases.views import BUYERS
from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, IntegrityError, Transaction, find_answer, request_hash
from kernel.errors import not_found
from kernel.ids import new_id


def convert_quote(
    app: App, caller: Identity, *, id: str, idempotency_key: str, payment: Mapping[str, Any]
) -> dict[str, Any]:
    """Make an order of a quote, and pay for it or be told how to pay.

    Args:
        app: the parts.
        caller: a buyer of the quote's organisation; the order and what comes of it are theirs.
        id: the quote.
        idempotency_key: the same for every retry of this request.
        payment: ``{"method", "payment_method_id", "provider_token"}``.

    Returns:
        As `place_order` does.

    Raises:
        Refusal: `forbidden`; `not_found`; `idempotency_key_reused`, `idempotency_key_in_flight`; what
            `cart.domain.checkout.check_payment` and `cart.domain.quote` refuse; `card_declined`; `unavailable`.
    """
    caller.require(*BUYERS)
    wanted = request_hash("convert_quote", {"user_id": caller.user_id, "id": id, "payment": dict(payment)})
    with app.database.reading() as reader:
        known = find_answer(reader, caller.organization_id, idempotency_key, wanted)
        quote = storage.read_order(reader, id, caller.organization_id)
    if known is not None:
        return answer_again(app, known)
    if quote is None:
        raise not_found("order")
    quotes.check_open(quote, reader.now)
    chosen = checkout.check_payment(payment)
    _check_sold(app, quote)
    if chosen.method == "card":
        check_declines(app, caller, quote.client_address)
    if chosen.payment_method_id is not None:
        app.payments.check(quote.organization_id, chosen.method, chosen.payment_method_id)
    try:
        with app.database.transaction() as transaction:
            written = _write(app, transaction, caller, quote, chosen, idempotency_key, wanted)
    except IntegrityError as error:
        with app.database.reading() as reader:
            known = find_answer(reader, caller.organization_id, idempotency_key, wanted)
        if known is not None:
            return answer_again(app, known)
        if storage.is_made_already(error):
            raise quotes.converted(quote) from error
        raise
    if isinstance(written, KnownAnswer):  # the same request came twice at once
        return answer_again(app, written)
    intent = app.payments.collect(written)
    answer = settle_order(app, written.id, intent)
    if answer is None:
        return not_known_yet(replace(written, next_action=intent.next_action), replayed=False)
    return reply(answer, replayed=False)


def _check_sold(app: App, quote: Order) -> None:
    skus = sorted({line.sku for line in quote.lines})
    deployment_ids = sorted({line.deployment_id for line in quote.lines if line.deployment_id is not None})
    sold = app.catalog.price_lines(skus, quote.currency).products
    quotes.check_sold(quote, sold, app.accounts.check_deployments(deployment_ids))


def _write(
    app: App, transaction: Transaction, caller: Identity, seen: Order, chosen: checkout.Payment, key: str, wanted: str
) -> Order | KnownAnswer:
    """The key, the order, and the quote's end stand or fall together.

    Raises:
        IntegrityError: the same request, or another order of the quote, was first.
    """
    quote = storage.lock_quote(transaction, seen)
    if quote is None:
        raise not_found("order")
    known = find_answer(transaction, caller.organization_id, key, wanted)
    if known is not None:
        return known
    now, settings = transaction.now, app.settings
    quotes.check_open(quote, now)
    order = quotes.as_order(
        quote,
        new_id,
        number=order_number(storage.take_serial(transaction), now),
        organization_name=caller.organization,
        user_id=caller.user_id,
        buyer_email=caller.email,
        buyer_name=caller.name,
        buyer_language=caller.language,
        payment_method=chosen.method,
        provider_token=chosen.provider_token,
        payment_method_id=chosen.payment_method_id,
        save_card=chosen.save,
        idempotency_key=key,
        placed_at=now,
        attempts=0,
        next_attempt_at=next_attempt_at(now, 0, settings.resume_after_s, settings.resume_at_most_s),
    )
    IdempotencyKeys(transaction, caller.organization_id).take(key, wanted, order.id)
    storage.insert_order(transaction, order)
    storage.move_order(transaction, quote.id, State.CONVERTED, converted_to=order.id)
    transaction.audit(
        caller, "quote.converted", quote.id, quote.organization_id, order_id=order.id, method=chosen.method
    )  # fmt: skip
    return order
