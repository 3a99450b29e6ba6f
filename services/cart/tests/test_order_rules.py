"""The states of an order and the checks of a checkout, without anything around them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart.domain import checkout
from cart.domain.cart import Cart, Line
from cart.domain.order import Intent, Order, PaymentProblem, State, next_attempt_at, order_number, sources
from cart.domain.products import Deployment, Product
from kernel.errors import Kind, Refusal
from kernel.money import Money

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ORDER = Order(
    "ord_1", "PC-2026-000001", "order", State.PENDING_PAYMENT, "org_1", "Acme", "usr_1", "a@b.example", "A", "en",
    "crt_1", 1, "USD", 100, 0, 100, "card", "tok", None, "v1", NOW, "192.0.2.1", "key", NOW, 0, NOW,
)  # fmt: skip
WAITS = Intent("requires_action", instructions={"issue": 1})
AWAITS = replace(ORDER, state=State.AWAITING_PAYMENT, instructions={"issue": 1})
TRIED = replace(AWAITS, state=State.PENDING_PAYMENT, attempt_id="att_1")
CONTRACT = Product("CONTRACT", "Contract", "contract", 60, True, 3, Money(900, "USD"))
LINE = Line("a", CONTRACT, 2, "dep_1", "organization")
CART = Cart("crt_1", 1, "USD", (LINE,))
ACTIVE = {"dep_1": Deployment("dep_1", True)}
WISH = checkout.Wish({"method": "card", "provider_token": "tok"}, "v1", None, None)


def test_the_states_and_the_ways_between_them() -> None:
    assert {target: set(sources(target)) for target in State} == {
        State.PENDING_PAYMENT: {State.AWAITING_PAYMENT},
        State.AWAITING_PAYMENT: {State.PENDING_PAYMENT},
        State.PAID: {State.PENDING_PAYMENT, State.AWAITING_PAYMENT},
        State.CANCELLED: {State.PENDING_PAYMENT, State.AWAITING_PAYMENT, State.OPEN},
        State.FULFILLED: {State.PAID},
        State.PARTIALLY_REFUNDED: {State.PAID, State.FULFILLED, State.PARTIALLY_REFUNDED},
        State.REFUNDED: {State.PAID, State.FULFILLED, State.PARTIALLY_REFUNDED},
        State.OPEN: {State.CONVERTED},
        State.CONVERTED: {State.OPEN},
        State.EXPIRED: {State.OPEN},
    }


@pytest.mark.parametrize(
    ("order", "intent", "outcome"),
    [
        (ORDER, Intent("captured"), State.PAID),
        (ORDER, Intent("captured", amount=Money(100, "USD")), State.PAID),
        (ORDER, Intent("failed"), State.CANCELLED),
        (ORDER, Intent("processing"), None),
        (ORDER, Intent("requires_action"), None),
        (ORDER, WAITS, State.AWAITING_PAYMENT),
        (TRIED, replace(WAITS, attempt_id="att_1"), State.AWAITING_PAYMENT),
        (TRIED, replace(WAITS, attempt_id="att_0"), None),
        (TRIED, WAITS, None),
        (AWAITS, WAITS, None),
        (AWAITS, replace(WAITS, instructions={"issue": 2}), State.AWAITING_PAYMENT),
        (AWAITS, Intent("captured"), State.PAID),
        (AWAITS, Intent("failed"), State.CANCELLED),
        (replace(AWAITS, state=State.CANCELLED), replace(WAITS, instructions={"issue": 2}), None),
        (replace(AWAITS, state=State.PAID, paid_at=NOW), replace(WAITS, instructions={"issue": 2}), None),
        (replace(ORDER, state=State.PAID, paid_at=NOW), Intent("captured"), None),
        (replace(ORDER, state=State.FULFILLED, paid_at=NOW), Intent("captured"), None),
        (replace(ORDER, state=State.CANCELLED), Intent("failed"), None),
    ],
)
def test_what_an_intent_means_for_an_order(order: Order, intent: Intent, outcome: State | None) -> None:
    assert order.outcome(intent) is outcome


@pytest.mark.parametrize(
    ("order", "intent", "code"),
    [
        (ORDER, Intent("captured", amount=Money(99, "USD")), "captured_amount_differs"),
        (ORDER, Intent("captured", amount=Money(100, "EUR")), "captured_amount_differs"),
        (replace(ORDER, state=State.PAID, paid_at=NOW), Intent("captured", amount=Money(1, "USD")),
         "captured_amount_differs"),
        (replace(ORDER, state=State.CANCELLED), Intent("captured"), "captured_after_cancel"),
        (replace(ORDER, state=State.PAID, paid_at=NOW), Intent("failed"), "failed_after_paid"),
    ],
)  # fmt: skip
def test_what_only_a_person_can_settle(order: Order, intent: Intent, code: str) -> None:
    with pytest.raises(PaymentProblem) as caught:
        order.outcome(intent)
    assert caught.value.code == code


def test_the_order_number() -> None:
    assert order_number(123, NOW) == "PC-2026-000123"
    assert order_number(12345678, NOW) == "PC-2026-12345678"


def test_the_lease_grows_to_a_limit() -> None:
    waits = [(next_attempt_at(NOW, attempts, 10, 30) - NOW) for attempts in (0, 1, 2, 3, 1_000_000)]
    assert waits == [timedelta(seconds=seconds) for seconds in (10, 20, 30, 30, 30)]


def check(**changes: Any) -> Refusal | None:
    values = {"seen": CART, "current": CART, "deployments": ACTIVE, "terms_version": "v1", "wish": WISH, **changes}
    try:
        checkout.check(**values)
    except Refusal as refusal:
        return refusal
    return None


def with_line(**changes: Any) -> Cart:
    return replace(CART, lines=(replace(LINE, **changes),))


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"current": with_line(deployment_id=None)}, "deployment_required", "lines.0.deployment_id"),
        ({"current": with_line(credit_destination=None)}, "credit_destination_required", "lines.0.credit_destination"),
        ({"current": with_line(available=False)}, "product_unavailable", "lines.0.sku"),
        ({"current": with_line(quantity=4)}, "quantity_out_of_range", "lines.0.quantity"),
        ({"current": with_line(product=replace(CONTRACT, needs_deployment=False))}, "deployment_not_allowed",
         "lines.0.deployment_id"),
        ({"deployments": {}}, "deployment_not_found", "lines.0.deployment_id"),
        ({"deployments": {"dep_1": Deployment("dep_1", False)}}, "deployment_retired", "lines.0.deployment_id"),
        ({"terms_version": "v2"}, "terms_not_accepted", "accept_terms"),
        ({"wish": replace(WISH, accept_terms=None)}, "terms_not_accepted", "accept_terms"),
        ({"wish": replace(WISH, expected_total=Money(5000, "EUR"))}, "currency_differs", "expected_total.currency"),
    ],
)  # fmt: skip
def test_what_may_not_be_ordered(changes: dict[str, Any], code: str, field: str) -> None:
    refusal = check(**changes)
    assert refusal is not None
    assert (refusal.kind, refusal.code, refusal.errors[0]["field"]) == (Kind.INVALID, code, field)


def test_every_wrong_field_is_named_at_once() -> None:
    lines = (LINE, replace(LINE, id="b", deployment_id=None, credit_destination=None))
    refusal = check(current=replace(CART, lines=lines), terms_version="v2")
    assert refusal is not None
    assert [error["field"] for error in refusal.errors] == [
        "lines.1.deployment_id", "lines.1.credit_destination", "accept_terms",
    ]  # fmt: skip


@given(old=st.integers(0, 10**9), new=st.integers(0, 10**9), said=st.booleans())
def test_a_rise_is_refused_with_both_prices_and_a_fall_is_granted(old: int, new: int, said: bool) -> None:
    """Against what the client says it saw, or else against what cart knows that it saw."""
    current = with_line(quantity=1, product=replace(CONTRACT, unit_price=Money(new, "USD")))
    seen = with_line(quantity=1, product=replace(CONTRACT, unit_price=Money(1 if said else old, "USD")))
    wish = replace(WISH, expected_total=Money(old, "USD")) if said else WISH
    refusal = check(seen=seen, current=current, wish=wish)
    if new <= old:
        assert refusal is None
    else:
        assert refusal is not None
        assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "price_changed")
        assert refusal.extra == {
            "old": {"amount_minor": old, "currency": "USD"}, "new": {"amount_minor": new, "currency": "USD"},
        }  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "code", "field"),
    [
        (replace(WISH, payment={"method": "wire", "provider_token": "tok"}), "provider_token_unexpected",
         "payment.provider_token"),
        (replace(WISH, payment={"method": "check", "payment_method_id": "pm_1"}), "payment_method_unexpected",
         "payment.payment_method_id"),
        (replace(WISH, payment={"method": "quote"}), "payment_method_unavailable", "payment.method"),
        (replace(WISH, payment={"method": "card", "payment_method_id": "pm_1", "provider_token": "tok"}),
         "provider_token_unexpected", "payment.provider_token"),
        (replace(WISH, payment={"method": "card"}), "provider_token_required", "payment.provider_token"),
    ],
)  # fmt: skip
def test_what_cannot_be_paid_with_yet(wish: checkout.Wish, code: str, field: str) -> None:
    with pytest.raises(Refusal) as caught:
        checkout.check_payment(wish.payment)
    assert (caught.value.kind, caught.value.code, caught.value.errors[0]["field"]) == (Kind.INVALID, code, field)


@pytest.mark.parametrize("cart", [None, replace(CART, lines=())])
def test_an_empty_cart(cart: Cart | None) -> None:
    with pytest.raises(Refusal) as caught:
        checkout.check_not_empty(cart)
    assert (caught.value.kind, caught.value.code) == (Kind.CONFLICT, "cart_empty")


def test_frozen_lines_await_what_they_bring() -> None:
    pack = replace(CONTRACT, needs_deployment=False)
    box = replace(pack, credits=0)
    lines = (LINE, Line("b", pack, 1, None, "support_card"), Line("c", box, 1))
    frozen = checkout.freeze(replace(CART, lines=lines), lambda: "oln")
    assert [(line.awaits_credits, line.awaits_binding) for line in frozen] == [
        (True, True), (True, False), (False, False),
    ]  # fmt: skip
    assert [line.total_minor for line in frozen] == [1800, 900, 900]
