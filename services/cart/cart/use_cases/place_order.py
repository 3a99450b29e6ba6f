"""Process Order: one idempotent step from the cart to a paid order, or to a quote (architecture: how a purchase flows).

Look-up of the key; prices and deployments asked; checks; transaction 1 writes the order; payments collects;
transaction 2 (`settle_order`) writes what came of it. Whatever dies in between is resumed (`resume_orders`).
A quote is finished with transaction 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.clients import BillingFacts
from cart.domain import checkout
from cart.domain.cart import Cart, refreshed
from cart.domain.order import ORDER, QUOTE, Order, State, next_attempt_at, order_number
from cart.domain.quote import end_of_last_day
from cart.domain.tax import Tax, exempted
from cart.messages import QUOTE_ISSUED
from cart.use_cases.answering import answer_again, not_known_yet, reply
from cart.use_cases.declines import subjects_of
from cart.use_cases.settle_order import settle_order
from cart.use_cases.views import BUYERS, order_view, quote_event
from chassis.identity import Identity
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import IdempotencyKeys, IntegrityError, Transaction, request_hash
from chassis.persistence.idempotency import answer_of
from kernel.errors import conflict
from kernel.ids import new_id
from kernel.money import Money


class CartChangedError(Exception):
    """The cart is not what was checked."""


@dataclass(frozen=True, slots=True)
class _Request:
    """Who asks, under which key, from where; and a hash of what."""

    caller: Identity
    idempotency_key: str
    client_address: str
    hash: str


@dataclass(frozen=True, slots=True)
class _Checked:
    """What may be ordered: the cart at current prices, and what goes with it."""

    cart: Cart
    payment: checkout.Payment
    terms_version: str
    purchase_order_number: str | None
    billing: BillingFacts | None
    tax: Tax | None


def place_order(
    app: App, caller: Identity, *, idempotency_key: str, client_address: str, **body: Any
) -> dict[str, Any]:  # fmt: skip
    """Order what is in the caller's cart, and pay for it or be told how to pay; or get a quote for it.

    Args:
        app: the parts.
        caller: the buyer.
        idempotency_key: the same for every retry of this request.
        client_address: where the terms were accepted from.
        body: the other fields of `cart.messages.PlaceOrder`.

    Returns:
        ``{"order", "replayed", "status"}``; status 202 while it is not known whether the card was charged, or how to
        pay by wire or check.

    Raises:
        Refusal: `forbidden`; `idempotency_key_reused`, `idempotency_key_in_flight`; what `cart.domain.checkout`
            refuses; `too_many_attempts`; `cart_changed`, `order_in_progress`; `card_declined`; `unavailable`.
    """
    caller.require(*BUYERS)
    request = _Request(
        caller, idempotency_key, client_address, request_hash("place_order", {"user_id": caller.user_id, **body})
    )
    known, seen = _look_up(app, request, check_declines=body["payment"]["method"] == "card")
    if known is not None:
        return answer_again(app, known)
    checked = _check(app, caller, seen, body)
    try:
        with app.database.transaction() as transaction:
            order = _write(app, transaction, request, checked)
    except (IntegrityError, CartChangedError) as error:
        return _came_second(app, request, error)
    if order.kind == QUOTE:
        return {"order": order_view(order), "status": 201, "replayed": False}
    intent = app.payments.collect(order)
    answer = settle_order(app, order.id, intent)
    if answer is None:
        return not_known_yet(replace(order, next_action=intent.next_action), replayed=False)
    return reply(answer, replayed=False)


def _look_up(app: App, request: _Request, check_declines: bool = False) -> tuple[KnownAnswer | None, Cart | None]:
    caller = request.caller
    subjects = subjects_of(caller.organization_id, caller.user_id, request.client_address)
    with app.database.reading() as reader:
        found = storage.look_up(reader, caller, request.idempotency_key, subjects)
        known = answer_of(found.key, request.hash)
        if known is None and check_declines:
            app.declines.check_counted(reader, found.failures)
    return known, found.cart


def _check(app: App, caller: Identity, seen: Cart | None, body: Mapping[str, Any]) -> _Checked:
    expected, purchase_order = body["expected_total"], body["purchase_order"]
    wish = checkout.Wish(
        payment=body["payment"],
        accept_terms=body["accept_terms"],
        expected_total=Money(**expected) if expected else None,
        billing_address_id=body["billing_address_id"],
    )
    payment = checkout.check_payment(wish.payment, may_quote=True)
    seen = checkout.check_not_empty(seen)
    billing = _billing(app, wish, payment)
    prices = app.catalog.price_lines(seen.skus, seen.currency, billing.taxed_in if billing else None)
    tax = exempted(prices.tax, billing.tax_certificate if billing else None)
    deployments = app.accounts.check_deployments(seen.deployment_ids)
    current = refreshed(seen, prices.products)
    checkout.check(seen, current, deployments, prices.terms_version, wish, tax)
    if payment.payment_method_id is not None:
        app.payments.check(caller.organization_id, payment.method, payment.payment_method_id)
    return _Checked(
        current, payment, prices.terms_version, purchase_order["number"] if purchase_order else None, billing, tax
    )  # fmt: skip


def _billing(app: App, wish: checkout.Wish, payment: checkout.Payment) -> BillingFacts | None:
    """Asked only if there is something to learn: no address, no tax. Only an address that was named is billed."""
    if wish.billing_address_id is None and payment.method != QUOTE:
        return None
    billing = app.accounts.billing_facts(wish.billing_address_id)
    return billing if wish.billing_address_id is not None else replace(billing, address=None)


def _write(app: App, transaction: Transaction, request: _Request, checked: _Checked) -> Order:
    """Transaction 1: the key and the order stand or fall together.

    Raises:
        CartChangedError: the cart is another one by now.
        IntegrityError: the same request, or another order of the cart, was first.
    """
    serial = storage.take_order_serial(transaction, checked.cart)
    if serial is None:
        raise CartChangedError
    first_lease = next_attempt_at(transaction.now, 0, app.settings.resume_after_s, app.settings.resume_at_most_s)
    order = _new_order(new_id("ord"), serial, transaction.now, first_lease, request, checked)
    if checked.payment.method == QUOTE and checked.billing is not None:
        order = _as_quote(order, serial, app.settings.quote_valid_days, checked.billing.time_zone)
    keys = IdempotencyKeys(transaction, request.caller.organization_id)
    keys.take(request.idempotency_key, request.hash, order.id)
    storage.insert_order(transaction, order)
    if order.kind == QUOTE:
        _finish_quote(transaction, keys, checked.cart, order)
    return order


def _finish_quote(transaction: Transaction, keys: IdempotencyKeys, cart: Cart, quote: Order) -> None:
    """Nothing is to be collected: the lines leave the cart, which is locked, and the answer is known."""
    storage.remove_cart_lines(transaction, [line.id for line in cart.lines])
    storage.bump_version(transaction, cart.id)
    transaction.emit(QUOTE_ISSUED, quote_event(quote))
    keys.finish(quote.idempotency_key, {"status": 201, "order": order_view(quote)})


def _as_quote(order: Order, serial: int, valid_days: int, time_zone: str) -> Order:
    return replace(
        order,
        number=order_number(serial, order.placed_at, QUOTE),
        kind=QUOTE,
        state=State.OPEN,
        time_zone=time_zone,
        expires_at=end_of_last_day(order.placed_at, valid_days, time_zone),
    )


def _came_second(app: App, request: _Request, error: IntegrityError | CartChangedError) -> dict[str, Any]:
    """The answer where something else was first: the same request, another order of the cart, a change of the cart."""
    known, _ = _look_up(app, request)
    if known is not None:
        return answer_again(app, known)
    if isinstance(error, CartChangedError):
        raise conflict(
            "cart_changed", "The cart was changed while you ordered it. Look at it again, then order."
        ) from error
    if storage.is_payment_under_way(error):
        raise conflict(
            "order_in_progress", "An order of this cart is being paid. Wait until it is paid or declined, then order."
        ) from error
    raise error


def _new_order(
    order_id: str, serial: int, now: datetime, first_lease: datetime, request: _Request, checked: _Checked
) -> Order:
    caller, cart = request.caller, checked.cart
    subtotal, tax = cart.total.amount_minor, checked.tax
    lines = checkout.freeze(cart, lambda: new_id("oln"), tax)
    tax_minor = sum(line.tax_minor for line in lines)
    return Order(
        id=order_id,
        number=order_number(serial, now),
        kind=ORDER,
        state=State.PENDING_PAYMENT,
        organization_id=caller.organization_id,
        organization_name=caller.organization,
        user_id=caller.user_id,
        buyer_email=caller.email,
        buyer_name=caller.name,
        buyer_language=caller.language,
        cart_id=cart.id,
        cart_version=cart.version,
        currency=cart.currency,
        subtotal_minor=subtotal,
        tax_minor=tax_minor,
        total_minor=subtotal + tax_minor,
        payment_method=checked.payment.method,
        provider_token=checked.payment.provider_token,
        payment_method_id=checked.payment.payment_method_id,
        save_card=checked.payment.save,
        purchase_order_number=checked.purchase_order_number,
        terms_version=checked.terms_version,
        terms_accepted_at=now,
        client_address=request.client_address,
        idempotency_key=request.idempotency_key,
        placed_at=now,
        attempts=0,
        next_attempt_at=first_lease,
        billing_address=checked.billing.address if checked.billing else None,
        tax_name=tax.name if tax else None,
        tax_rate_ppm=tax.rate_ppm if tax else None,
        tax_certificate=tax.certificate if tax else None,
        lines=lines,
    )
