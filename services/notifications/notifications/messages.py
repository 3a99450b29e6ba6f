"""What comes in and goes out. The events are others'; these schemas are what we read of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, missing, validate

from chassis.messages import (
    EventType,
    PlainString,
    RequestSchema,
    StrictInteger,
    TolerantSchema,
    UtcDateTime,
    money,
)
from notifications.domain.deliveries import ACCOUNT_MAILS, MailKind, State


class Buyer(TolerantSchema):
    """Who gets the mail. The name is whatever people call themselves; the renderer makes it harmless."""

    email = PlainString(required=True, max_length=320)
    name = fields.String(required=True)
    language = fields.String(load_default="en", validate=validate.Length(max=35))


class Organization(TolerantSchema):
    """An organisation by its id and name."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class PaidLine(TolerantSchema):
    """A line of a receipt."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    quantity = StrictInteger(required=True)
    unit_price = money(required=True, unknown=EXCLUDE)
    total = money(required=True, unknown=EXCLUDE)
    credits = StrictInteger(required=True)
    deployment_id = fields.String(load_default=None, allow_none=True)
    credit_destination = fields.String(load_default=None, allow_none=True)


class Totals(TolerantSchema):
    """The sums of a receipt."""

    subtotal = money(required=True, unknown=EXCLUDE)
    tax = money(required=True, unknown=EXCLUDE)
    total = money(required=True, unknown=EXCLUDE)


class PaymentCard(TolerantSchema):
    """What may be told of a payment card."""

    brand = fields.String(required=True)
    last4 = fields.String(required=True)


class Payment(TolerantSchema):
    """How an order was paid."""

    method = fields.String(required=True)
    card = fields.Nested(PaymentCard, load_default=None, allow_none=True)


class OrderPaid(TolerantSchema):
    """``cart.order_paid.v1``"""

    order_id = fields.String(required=True)
    number = fields.String(required=True)
    paid_at = UtcDateTime(required=True)
    organization = fields.Nested(Organization, required=True)
    buyer = fields.Nested(Buyer, required=True)
    lines = fields.List(fields.Nested(PaidLine), required=True)
    totals = fields.Nested(Totals, required=True)
    payment = fields.Nested(Payment, required=True)
    purchase_order_number = fields.String(load_default=None, allow_none=True)
    terms_version = fields.String(required=True)
    #: Not of the event: known, usually, when the mail leaves.
    invoice_number = fields.String(load_default=None, allow_none=True)


class InvoicePaid(TolerantSchema):
    """``payments.invoice_paid.v1``"""

    order_id = fields.String(required=True)
    invoice_number = fields.String(required=True)


class QuoteIssued(TolerantSchema):
    """``cart.quote_issued.v1``"""

    order_id = fields.String(required=True)
    number = fields.String(required=True)
    placed_at = UtcDateTime(required=True)
    last_day = fields.Date(required=True, format="iso")
    time_zone = fields.String(required=True)
    organization = fields.Nested(Organization, required=True)
    buyer = fields.Nested(Buyer, required=True)
    lines = fields.List(fields.Nested(PaidLine), required=True)
    totals = fields.Nested(Totals, required=True)
    purchase_order_number = fields.String(load_default=None, allow_none=True)
    terms_version = fields.String(required=True)


class QuoteExpiring(QuoteIssued):
    """``cart.quote_expiring.v1``"""


class CardIssued(TolerantSchema):
    """``credits.card_issued.v1``; the claim code is sealed for this service."""

    card_id = fields.String(required=True)
    number = fields.String(required=True)
    sealed_code = fields.String(required=True)
    credits = StrictInteger(required=True)
    expires_at = UtcDateTime(load_default=None, allow_none=True)
    order_id = fields.String(required=True)
    order_number = fields.String(required=True)
    buyer = fields.Nested(Buyer, required=True)
    issuer = fields.Nested(Organization, required=True)


class CardReissued(CardIssued):
    """``credits.card_reissued.v1``; the new claim code is sealed for this service."""

    issue = StrictInteger(required=True)


class CardExpiring(TolerantSchema):
    """``credits.card_expiring.v1``"""

    card_id = fields.String(required=True)
    number_masked = fields.String(required=True)
    credits = StrictInteger(required=True)
    order_id = fields.String(required=True)
    order_number = fields.String(required=True)
    expires_at = UtcDateTime(required=True)
    issuer = fields.Nested(Organization, required=True)
    buyer = fields.Nested(Buyer, required=True)


class BalanceLow(TolerantSchema):
    """``credits.balance_low.v1``"""

    entry_id = fields.String(required=True)
    organization = fields.Nested(Organization, required=True)
    recipient = fields.Nested(Buyer, required=True)
    balance = StrictInteger(required=True)
    threshold = StrictInteger(required=True)


class CardClaimed(TolerantSchema):
    """``credits.card_claimed.v1``"""

    card_id = fields.String(required=True)
    number_masked = fields.String(required=True)
    credits = StrictInteger(required=True)
    claimed_at = UtcDateTime(required=True)
    issuer = fields.Nested(Organization, required=True)
    buyer = fields.Nested(Buyer, required=True)
    claimant = fields.Nested(Organization, required=True)
    order_id = fields.String(load_default=None, allow_none=True)  # not told by releases before this one


class Instructions(TolerantSchema):
    """How to pay by wire or check what is left."""

    method = fields.String(required=True)
    reference = fields.String(required=True)
    amount = money(required=True, unknown=EXCLUDE)
    received = money(required=True, unknown=EXCLUDE)
    remaining = money(required=True, unknown=EXCLUDE)
    due_on = fields.Date(required=True, format="iso")
    expires_at = UtcDateTime(required=True)
    issue = StrictInteger(required=True)
    pay_to = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class InstructionsIssued(TolerantSchema):
    """``payments.instructions_issued.v1``"""

    order_id = fields.String(required=True)
    order_number = fields.String(required=True)
    organization = fields.Nested(Organization, required=True)
    buyer = fields.Nested(Buyer, required=True)
    instructions = fields.Nested(Instructions, required=True)


class ReminderIssued(InstructionsIssued):
    """``payments.reminder_issued.v1``"""

    reminder = StrictInteger(required=True)


class Receipt(TolerantSchema):
    """Money that has come."""

    id = fields.String(required=True)
    method = fields.String(required=True)
    amount = money(required=True, unknown=EXCLUDE)
    received_on = fields.Date(required=True, format="iso")


class PaymentProgress(TolerantSchema):
    """How far an order is paid with it."""

    state = fields.String(required=True)
    due = money(required=True, unknown=EXCLUDE)
    received = money(required=True, unknown=EXCLUDE)
    remaining = money(required=True, unknown=EXCLUDE)
    surplus = money(required=True, unknown=EXCLUDE)
    reason = fields.String(load_default=None, allow_none=True)


class ReceiptRecorded(InstructionsIssued):
    """``payments.receipt_recorded.v1``"""

    receipt = fields.Nested(Receipt, required=True)
    payment = fields.Nested(PaymentProgress, required=True)


class RefundedCredits(TolerantSchema):
    """What became of the credits that a refunded order had brought."""

    taken_back = StrictInteger(required=True)
    claimed = StrictInteger(required=True)
    spent = StrictInteger(required=True)


class OrderRefunded(TolerantSchema):
    """``cart.order_refunded.v1``"""

    refund_id = fields.String(required=True)
    order_id = fields.String(required=True)
    number = fields.String(required=True)
    refunded_at = UtcDateTime(required=True)
    organization = fields.Nested(Organization, required=True)
    buyer = fields.Nested(Buyer, required=True)
    amount = money(required=True, unknown=EXCLUDE)
    payment = fields.Nested(Payment, required=True)
    credits = fields.Nested(RefundedCredits, required=True)
    #: What is left of what was paid; missing from stores of before, which gave all of it back.
    left = money(allow_none=True, load_default=None, unknown=EXCLUDE)


class TicketEvent(TolerantSchema):
    """What all events about a ticket say."""

    ticket_id = fields.String(required=True)
    number = fields.String(required=True)
    subject = fields.String(required=True)
    organization = fields.Nested(Organization, required=True)
    deployment = fields.Nested(Organization, required=True)
    recipient = fields.Nested(Buyer, required=True)


class TicketOpened(TicketEvent):
    """``support.ticket_opened.v1``"""

    round = StrictInteger(required=True)
    cap_credits = StrictInteger(required=True)
    opened_at = UtcDateTime(required=True)


class TicketAnswered(TicketEvent):
    """``support.ticket_answered.v1``"""

    comment_id = fields.String(required=True)
    lines = fields.List(fields.String(), required=True)
    author_name = fields.String(required=True)
    answered_at = UtcDateTime(required=True)


class OverrunAsked(TicketEvent):
    """``support.overrun_asked.v1``"""

    overrun_id = fields.String(required=True)
    cap_credits = StrictInteger(required=True)
    credits = StrictInteger(required=True)
    asked_at = UtcDateTime(required=True)


class TicketClosed(TicketEvent):
    """``support.ticket_closed.v1``"""

    round = StrictInteger(required=True)
    held = StrictInteger(required=True)
    debited = StrictInteger(required=True)
    returned = StrictInteger(required=True)
    written_off = StrictInteger(required=True)
    defect_reason = fields.String(load_default=None, allow_none=True)
    closed_at = UtcDateTime(required=True)


class DefectCredited(TicketEvent):
    """``support.defect_credited.v1``"""

    given_back = StrictInteger(required=True)
    reason = fields.String(required=True)
    credited_at = UtcDateTime(required=True)


#: By the kind of mail that an event causes, the schema of what the mail is rendered from.
class NoticeIssued(TolerantSchema):
    """``accounts.notice_issued.v1``; the token of a link is sealed for this service."""

    notice_id = fields.String(required=True)
    purpose = fields.String(required=True, validate=validate.OneOf([str(kind) for kind in ACCOUNT_MAILS]))
    recipient = fields.Nested(Buyer, required=True)
    organization_name = fields.String(load_default=None, allow_none=True)
    sealed_token = fields.String(load_default=None, allow_none=True)
    expires_at = UtcDateTime(load_default=None, allow_none=True)


PAYLOADS: dict[MailKind, TolerantSchema] = {
    MailKind.RECEIPT: OrderPaid(),
    MailKind.CARD: CardIssued(),
    MailKind.CARD_REISSUED: CardReissued(),
    MailKind.CARD_CLAIMED: CardClaimed(),
    MailKind.CARD_EXPIRING: CardExpiring(),
    MailKind.BALANCE_LOW: BalanceLow(),
    MailKind.PAYMENT_INSTRUCTIONS: InstructionsIssued(),
    MailKind.PAYMENT_REMINDER: ReminderIssued(),
    MailKind.PAYMENT_RECEIVED: ReceiptRecorded(),
    MailKind.REFUND: OrderRefunded(),
    MailKind.QUOTE: QuoteIssued(),
    MailKind.QUOTE_EXPIRING: QuoteExpiring(),
    **dict.fromkeys(ACCOUNT_MAILS, NoticeIssued()),
    MailKind.TICKET_OPENED: TicketOpened(),
    MailKind.TICKET_ANSWERED: TicketAnswered(),
    MailKind.TICKET_OVERRUN: OverrunAsked(),
    MailKind.TICKET_CLOSED: TicketClosed(),
    MailKind.TICKET_DEFECT: DefectCredited(),
}


def recipient_of(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Who gets the mail: email, name and language."""
    found: Mapping[str, Any] = data["recipient"] if "recipient" in data else data["buyer"]
    return found


def read_payload(kind: MailKind, payload: str) -> dict[str, Any]:
    """What a mail is rendered from, as its schema loaded it before it was stored.

    Args:
        kind: of the mail.
        payload: JSON that the schema of that kind dumped. It was checked then and is not checked again; what a former
            release did not know gets its default.
    """
    return _completed(PAYLOADS[kind], json.loads(payload))


def _completed(schema: Schema, data: dict[str, Any]) -> dict[str, Any]:
    for name, field in schema.fields.items():
        value = data.setdefault(name, None if field.load_default is missing else field.load_default)
        if value is None:
            continue
        if isinstance(field, UtcDateTime):
            data[name] = datetime.fromisoformat(value)
        elif isinstance(field, fields.Date):
            data[name] = date.fromisoformat(value)
        elif isinstance(field, fields.Nested):
            _completed(field.schema, value)
        elif isinstance(field, fields.List) and isinstance(field.inner, fields.Nested):
            for item in value:
                _completed(field.inner.schema, item)
    return data


class ListDeliveries(RequestSchema):
    """Which deliveries are asked for."""

    cause_prefix = PlainString(load_default=None, allow_none=True, max_length=150)
    order_id = PlainString(load_default=None, allow_none=True, max_length=64)
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(load_default=None, allow_none=True)


class Delivery(RequestSchema):
    """A delivery as staff see it: never what the mail says."""

    id = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf([str(kind) for kind in MailKind]))
    cause = fields.String(required=True)
    recipient = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in State]))
    attempts = StrictInteger(required=True)
    queued_at = UtcDateTime(required=True)
    sent_at = UtcDateTime(required=True, allow_none=True)
    last_error = fields.String(required=True, allow_none=True)


class DeliveryList(RequestSchema):
    """A page of deliveries, newest first."""

    items = fields.List(fields.Nested(Delivery), required=True)
    next = fields.String(required=True, allow_none=True)


#: This service emits none.
EVENTS: tuple[EventType, ...] = ()

RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "list_deliveries": {
        "request": {"order_id": "ord_01KAMR3Z5T8XQ0V7M2N4P6R8S0", "limit": 20, "cursor": None},
        "reply": {
            "items": [
                {
                    "id": "dlv_01KAMR41C2D3E4F5G6H7J8K9M0",
                    "kind": "card",
                    "cause": "card:scc_01KAMR40A1B2C3D4E5F6G7H8J9",
                    "recipient": "ada@acme.example",
                    "state": "sent",
                    "attempts": 1,
                    "queued_at": "2026-11-22T12:00:00.150Z",
                    "sent_at": "2026-11-22T12:00:00.210Z",
                    "last_error": None,
                }
            ],
            "next": None,
        },
    },
}
