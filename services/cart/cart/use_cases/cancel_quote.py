"""Cancel a quote: no order is made of it any more. Nothing was paid for it, so there is nothing to give up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cart import storage
from cart.domain.order import CANCELLED_ON_REQUEST, Order, State
from cart.domain.quote import check_open
from cart.use_cases.views import order_view
from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction
from kernel.errors import not_found


def cancel_quote(
    transaction: Transaction, caller: Identity, idempotency_key: str, request: str, seen: Order
) -> dict[str, Any]:
    """Cancel a quote of the caller's organisation; one that was cancelled before stays so.

    Args:
        transaction: the open one.
        caller: a buyer.
        idempotency_key: the same for every retry of this request.
        request: a hash of it.
        seen: the quote.

    Raises:
        Refusal: `quote_converted`, `quote_expired`; `idempotency_key_reused`.
    """
    keys = IdempotencyKeys(transaction, caller.organization_id)
    known = keys.begin(idempotency_key, request, seen.id)
    if known is not None and known.answer is not None:
        return {**known.answer, "replayed": True}
    quote = storage.lock_quote(transaction, seen)
    if quote is None:
        raise not_found("order")
    if quote.state is not State.CANCELLED:
        check_open(quote, transaction.now)
        values: dict[str, Any] = {"cancelled_at": transaction.now, "cancel_reason": CANCELLED_ON_REQUEST}
        storage.move_order(transaction, quote.id, State.CANCELLED, **values)
        transaction.audit(caller, "quote.cancelled", quote.id, quote.organization_id)
        quote = replace(quote, state=State.CANCELLED, **values)
    answer = {"order": order_view(quote), "status": 200}
    keys.finish(idempotency_key, answer)
    return {**answer, "replayed": False}
