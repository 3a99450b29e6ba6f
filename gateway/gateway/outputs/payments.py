"""Cards on file, money that came and money that was sent."""

from __future__ import annotations

from marshmallow import Schema, fields

from chassis.messages import money
from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class CardOnFile(Schema):
    """What may be shown of a payment card."""

    brand = TEXT(required=True)
    last4 = TEXT(required=True)


class PaymentMethod(CardOnFile):
    """A saved card."""

    id = TEXT(required=True)
    exp_month = NUMBER(required=True)
    exp_year = NUMBER(required=True)
    expired = fields.Boolean(required=True, metadata={"description": "It can be chosen no longer"})
    default = fields.Boolean(required=True)
    created_at = WHEN(required=True)


class Receipt(Schema):
    """Money that has come by wire or check."""

    id = TEXT(required=True)
    order_id = TEXT(required=True)
    order_number = TEXT(required=True)
    method = TEXT(required=True)
    bank_reference = TEXT(required=True)
    amount = money(required=True)
    received_on = fields.Date(required=True)
    recorded_by = TEXT(required=True)
    recorded_at = WHEN(required=True)


class PaymentProgress(Schema):
    """How far an order is paid with it."""

    state = TEXT(required=True, metadata={"description": "requires_action, captured, failed or voided"})
    due = money(required=True)
    received = money(required=True)
    remaining = money(required=True)
    surplus = money(required=True)
    reason = maybe(TEXT, metadata={"description": "Of the surplus: overpaid, order_paid or order_cancelled"})


class Recorded(Schema):
    """A receipt, and how far the order is paid with it."""

    receipt = fields.Nested(Receipt, required=True)
    payment = fields.Nested(PaymentProgress, required=True)


class Payout(Schema):
    """Money that staff send, or have sent, by bank."""

    id = TEXT(required=True, metadata={"description": "The refund's, or the surplus'"})
    kind = TEXT(required=True, metadata={"description": "refund or surplus"})
    order_id = TEXT(required=True)
    order_number = TEXT(required=True)
    organization_id = TEXT(required=True)
    amount = money(required=True)
    reason = TEXT(required=True)
    state = TEXT(required=True, metadata={"description": "waiting or paid"})
    bank_reference = maybe(TEXT)
    paid_on = maybe(fields.Date)
    recorded_by = maybe(TEXT)
    recorded_at = maybe(WHEN)


class ChargeDispute(Schema):
    """A card payment that the payer's bank takes back."""

    id = TEXT(required=True)
    order_id = TEXT(required=True)
    order_number = maybe(TEXT, metadata={"description": "Null while the charge is not known here"})
    organization_id = maybe(TEXT)
    amount = money(required=True)
    reason = TEXT(required=True, metadata={"description": "The provider's word for why"})
    state = TEXT(required=True, metadata={"description": "open, won or lost"})
    opened_at = WHEN(required=True)
    evidence_due_at = WHEN(required=True, metadata={"description": "Until then the card network listens"})
    evidence = maybe(TEXT, metadata={"description": "The newest that the provider has"})
    evidence_sent_at = maybe(WHEN)
    accepted_at = maybe(WHEN)
    closed_at = maybe(WHEN)
    provider_dispute_id = TEXT(required=True)
    provider_charge_id = TEXT(required=True)


class SettledSurplus(Schema):
    """What became of a surplus."""

    surplus_id = TEXT(required=True)
    settlement = TEXT(required=True, metadata={"description": "returned or used"})
    order_id = maybe(TEXT)
    payment = fields.Nested(lambda: PaymentProgress(), required=True, allow_none=True)


class StrayCharge(Schema):
    """A charge that the payment provider made although the attempt was over. It is given back by itself."""

    order_id = TEXT(required=True)
    order_number = TEXT(required=True)
    provider_charge_id = TEXT(required=True)
    state = TEXT(
        required=True,
        metadata={"description": "returning, returned, or refused by the provider: then somebody must see to it"},
    )


class Surplus(Schema):
    """Money that had nothing to pay for: it came by wire or check, or by a charge of the payment provider's own."""

    id = TEXT(required=True)
    reason = TEXT(required=True)
    amount = money(required=True)
    noted_at = WHEN(required=True)
    organization_id = TEXT(required=True)
    settlement = maybe(TEXT, metadata={"description": "returned or used; null until it is settled"})
    receipt = fields.Nested(Receipt, required=True, allow_none=True)
    charge = fields.Nested(
        StrayCharge, required=True, allow_none=True, metadata={"description": "For the reason stray_capture"}
    )
