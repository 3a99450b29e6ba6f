"""What comes in and goes out: RPC requests and replies, and the events that payments emits."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.messages import (
    EventType,
    MoneySchema,
    PlainString,
    RequestSchema,
    StrictInteger,
    TolerantSchema,
    UtcDateTime,
)
from kernel.card_numbers import contains_card_number
from payments.domain.states import State

#: A thousand million of the largest unit we sell in; keeps a typing error out of a 64-bit column.
MAX_AMOUNT_MINOR = 10**12


def _no_card_number(value: str) -> None:
    if contains_card_number(value):
        raise ValidationError("This is a card number. Give the card to the payment provider and send its token.")


class AmountSchema(MoneySchema):
    """Money that can be collected: more than nothing."""

    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1, max=MAX_AMOUNT_MINOR))


class PayerSchema(RequestSchema):
    """For whom, and who asked."""

    organization_id = PlainString(required=True, max_length=64)
    user_id = PlainString(required=True, max_length=64)
    email = PlainString(required=True, max_length=320)


class _ForOrder(RequestSchema):
    order_id = PlainString(required=True, max_length=64)
    order_number = PlainString(required=True, max_length=64)
    amount = fields.Nested(AmountSchema, required=True)
    method = fields.String(required=True, validate=validate.OneOf(["card"]))
    payer = fields.Nested(PayerSchema, required=True)


class Void(_ForOrder):
    """Give up collecting an order's amount, unless it is collected already."""


class Collect(_ForOrder):
    """Collect an order's amount, once."""

    provider_token = PlainString(load_default=None, allow_none=True, max_length=255, validate=_no_card_number)
    payment_method_id = PlainString(load_default=None, allow_none=True, max_length=64, validate=_no_card_number)

    @validates_schema
    def _one_card(self, data: dict[str, Any], **_: Any) -> None:
        if (data["provider_token"] is None) == (data["payment_method_id"] is None):
            raise ValidationError("Give either provider_token or payment_method_id.", "provider_token")


class GetIntent(RequestSchema):
    """What is known about an order's payment."""

    order_id = PlainString(required=True, max_length=64)


class ReceiveWebhook(RequestSchema):
    """A webhook as it came: the raw body in base 64, and the header that proves it."""

    body = fields.String(required=True, validate=validate.Length(max=100_000))
    signature = fields.String(required=True, validate=validate.Length(max=1_000))


class Nothing(TolerantSchema):
    """An answer without fields."""


class OrderFactsPage(RequestSchema):
    """A page of all intents, for staff."""

    limit = StrictInteger(load_default=100, validate=validate.Range(min=1, max=500))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class CardSchema(TolerantSchema):
    """What may be known of a card."""

    brand = fields.String(required=True)
    last4 = fields.String(required=True, validate=validate.Regexp(r"[0-9]{4}\Z"))


class DeclineSchema(TolerantSchema):
    """Why not: a stable code, and a sentence a person can act on."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class IntentReply(TolerantSchema):
    """How far collecting has come."""

    intent_id = fields.String(required=True)
    order_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in State]))
    decline = fields.Nested(DeclineSchema, required=True, allow_none=True)
    card = fields.Nested(CardSchema, required=True, allow_none=True)


class OrderFact(TolerantSchema):
    """What was collected for an order."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in State]))
    amount = fields.Nested(AmountSchema, required=True)
    #: How many attempts took the money: one if the state is captured, else none.
    captures = StrictInteger(required=True)


class OrderFacts(TolerantSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(OrderFact), required=True)
    next = fields.String(required=True, allow_none=True)


class PaymentCaptured(TolerantSchema):
    """The money for an order is taken."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    amount = fields.Nested(AmountSchema, required=True)
    card = fields.Nested(CardSchema, required=True)
    provider_charge_id = fields.String(required=True)
    captured_at = UtcDateTime(required=True)


class PaymentFailed(TolerantSchema):
    """The money for an order was not taken, and with this intent it never will be."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    decline = fields.Nested(DeclineSchema, required=True)


class PaymentVoided(TolerantSchema):
    """Nothing was taken for an order, and nothing will be: it was given up."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)


_ORDER = "ord_01KB0000000000000000000000"
_INTENT = "pay_01KB0000000000000000000001"
_CARD = {"brand": "visa", "last4": "4242"}
_AMOUNT = {"amount_minor": 12000, "currency": "USD"}
_DECLINE = {
    "code": "insufficient_funds",
    "message": "The card does not have enough funds for this order. Use another card.",
}

CAPTURED = EventType(
    "payments.captured.v1",
    PaymentCaptured(),
    {
        "order_id": _ORDER,
        "intent_id": _INTENT,
        "amount": _AMOUNT,
        "card": _CARD,
        "provider_charge_id": "ch_0123456789abcdef0123456789abcdef",
        "captured_at": "2026-11-22T12:00:00.000Z",
    },
)
FAILED = EventType(
    "payments.failed.v1", PaymentFailed(), {"order_id": _ORDER, "intent_id": _INTENT, "decline": _DECLINE}
)

VOIDED = EventType("payments.voided.v1", PaymentVoided(), {"order_id": _ORDER, "intent_id": _INTENT})

EVENTS: tuple[EventType, ...] = (CAPTURED, FAILED, VOIDED)

_REPLY = {"intent_id": _INTENT, "order_id": _ORDER, "state": "captured", "decline": None, "card": _CARD}

_FOR_ORDER = {
    "order_id": _ORDER,
    "order_number": "O-1001",
    "amount": _AMOUNT,
    "method": "card",
    "payer": {"organization_id": "org_acme", "user_id": "usr_ada", "email": "ada@acme.example"},
}

RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "collect": {
        "request": {**_FOR_ORDER, "provider_token": "tok_test_success", "payment_method_id": None},
        "reply": _REPLY,
    },
    "void": {"request": _FOR_ORDER, "reply": {**_REPLY, "state": "voided", "card": None}},
    "receive_webhook": {
        "request": {"body": "eyJpZCI6ICJldnRfMSJ9", "signature": "t=1795348800,v1=0f3c"},
        "reply": {},
    },
    "get_intent": {
        "request": {"order_id": _ORDER},
        "reply": {**_REPLY, "state": "failed", "decline": _DECLINE, "card": None},
    },
    "order_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {
            "items": [
                {"order_id": _ORDER, "intent_id": _INTENT, "state": "captured", "amount": _AMOUNT, "captures": 1}
            ],
            "next": None,
        },
    },
}
