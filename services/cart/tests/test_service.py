"""The edges: the contract, the settings, and what is read of other services."""

from __future__ import annotations

from typing import Any

import pytest

from cart import messages
from cart.clients import as_intent
from cart.domain.order import Intent
from cart.service import CartService
from cart.settings import Settings, read
from chassis.contracts import describe
from chassis.messages import dump_checked, load_request
from chassis.service import Call, Rpc
from chassis.settings import Environment, SettingsError
from chassis.testing import make_event
from kernel.money import Money


def test_every_method_and_event_has_an_example_that_fits() -> None:
    files = describe(CartService, messages.EVENTS, messages.RPC_EXAMPLES)
    assert "cart/events/order_paid.v1.example.json" in files
    assert {path for path in files if "/rpc/" in path} == {f"cart/rpc/{name}.json" for name in messages.RPC_EXAMPLES}


def test_settings_have_defaults_and_complain_together() -> None:
    assert read(Environment({})) == Settings()
    assert read(Environment({"CART_CURRENCY": "EUR"})).currency == "EUR"


@pytest.mark.parametrize(
    "values",
    [
        {"CART_CURRENCY": "XXX"},
        {"CART_RESUME_AFTER_S": "soon"},
        {"CART_COLLECT_TIMEOUT_S": "0"},
        {"CART_COLLECT_TIMEOUT_S": "10"},
        {"CART_RESUME_AT_MOST_S": "9"},
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="CART_"):
        read(Environment(values))


def test_an_intent_of_a_reply_and_of_an_event() -> None:
    reply: dict[str, Any] = messages.IntentReply().load(
        {"intent_id": "pay_1", "order_id": "ord_1", "state": "captured", "decline": None,
         "card": {"brand": "visa", "last4": "4242", "country": "NO"}, "new": 1}
    )  # fmt: skip
    assert as_intent(reply, reply["state"]) == Intent("captured", "pay_1", None, "visa", "4242")
    event = messages.PaymentCaptured().load(
        {"order_id": "ord_1", "intent_id": "pay_1", "amount": {"amount_minor": 5, "currency": "EUR"}, "card": None}
    )
    assert as_intent(event, "captured") == Intent("captured", "pay_1", Money(5, "EUR"))


def test_the_entrypoints_lead_to_the_use_cases(shop: Any) -> None:
    """A purchase through the service class, each request and reply through its schemas."""
    service = CartService()
    service.app = shop.app
    cart_id = ask(service, "get_cart", {}, shop)["id"]
    line_id = ask(service, "add_line", {"sku": "CONTRACT", "quantity": 1}, shop)["lines"][0]["id"]
    ask(service, "update_line", {"line_id": line_id, "credit_destination": "organization"}, shop)
    assert ask(service, "apply_deployment", {"deployment_id": "dep_one"}, shop)["applied"] == [line_id]
    box = ask(service, "add_line", {"sku": "BOX", "quantity": 1}, shop)["lines"][1]["id"]
    assert ask(service, "remove_line", {"line_id": box}, shop)["id"] == cart_id
    shop.bus.payments = "down"
    request = {
        "idempotency_key": "key-1", "payment": {"method": "card", "provider_token": "tok"}, "accept_terms": "2026-11",
        "client_address": "192.0.2.7",
    }  # fmt: skip
    order = ask(service, "place_order", request, shop)["order"]
    payment = {"order_id": order["id"], "intent_id": "pay_1", "amount": order["totals"]["total"]}
    service.on_payment_captured([make_event("payments.captured.v1", messages.PaymentCaptured().load(payment))])
    handed_over = {"order_id": order["id"], "line_ids": [order["lines"][0]["id"]]}
    service.on_order_credited([make_event("credits.order_credited.v1", handed_over)])
    assert ask(service, "get_order", {"id": order["id"]}, shop)["state"] == "paid"
    service.on_order_bound([make_event("accounts.order_bound.v1", handed_over)])
    assert ask(service, "list_orders", {}, shop)["items"][0]["state"] == "fulfilled"


def test_a_failed_payment_and_the_resumption_through_the_service(shop: Any) -> None:
    service = CartService()
    service.app = shop.app
    shop.add_pack()
    shop.bus.payments = "down"
    order = shop.place()["order"]
    shop.clock.advance(seconds=10)
    shop.bus.calls.clear()
    service.resume_orders()
    assert shop.bus.calls == ["payments.get_intent"]
    data = {"order_id": order["id"], "intent_id": "pay_1", "decline": {"code": "expired_card", "message": "Expired."}}
    service.on_payment_failed([make_event("payments.failed.v1", messages.PaymentFailed().load(data))])
    assert ask(service, "get_order", {"id": order["id"]}, shop)["state"] == "cancelled"


def ask(service: CartService, method: str, data: dict[str, Any], shop: Any) -> Any:
    function = getattr(service, method)
    entrypoint = next(each for each in function.nameko_entrypoints if isinstance(each, Rpc))
    reply = function(Call(load_request(entrypoint.request, data), shop.buyer, None))
    return dump_checked(entrypoint.reply, reply)
