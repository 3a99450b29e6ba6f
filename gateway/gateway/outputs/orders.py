"""Orders and quotes."""

from __future__ import annotations

from marshmallow import Schema, fields

from chassis.messages import money
from gateway.outputs.cart import AddressShown, Line, TaxShown, Totals
from gateway.outputs.common import TEXT, WHEN, maybe
from gateway.outputs.payments import CardOnFile


class OrderLine(Line):
    """One line of an order; it never changes."""

    fulfilment = TEXT(required=True, metadata={"description": "pending or fulfilled"})


class OrderPayment(Schema):
    """How an order is paid."""

    method = TEXT(required=True)
    state = TEXT(required=True)
    card = fields.Nested(CardOnFile, allow_none=True, required=True)


class OrderCard(Schema):
    """A support credit card that came of an order."""

    id = TEXT(required=True)
    number_masked = TEXT(required=True)
    state = TEXT(required=True)


class Instructions(Schema):
    """How to pay by wire or check what is left."""

    method = TEXT(required=True)
    reference = TEXT(required=True, metadata={"description": "To be given with the money (ISO 11649)"})
    amount = money(required=True)
    received = money(required=True)
    remaining = money(required=True)
    due_on = fields.Date(required=True)
    pay_to = fields.Dict(
        keys=TEXT(), values=TEXT(), required=True,
        metadata={"description": "account, beneficiary, bank, bic; or payable_to, address"},
    )  # fmt: skip


class PurchaseOrderShown(Schema):
    """The buyer's own number of an order."""

    number = TEXT(required=True)


class QuoteShown(Schema):
    """What a quote has and an order has not."""

    last_day = fields.Date(required=True, metadata={"description": "The last day on which it can be converted"})
    time_zone = TEXT(required=True, metadata={"description": "In which that day ends"})
    order_id = maybe(TEXT, metadata={"description": "The order that it became"})


class NextAction(Schema):
    """What the payer must do before the card is charged (3-D Secure): then resume with POST payment."""

    type = TEXT(required=True, metadata={"description": "redirect"})
    url = TEXT(required=True, metadata={"description": "Of the payment provider; for the payer's browser"})
    expires_at = WHEN(required=True)


class DisputeShown(Schema):
    """The payer's bank takes back what was paid, for now or for good. What is unspent is frozen meanwhile."""

    state = TEXT(required=True, metadata={"description": "open; won: the money is here again; lost"})
    amount = money(required=True)
    reason = maybe(TEXT)
    opened_at = maybe(WHEN)
    closed_at = maybe(WHEN)


class Order(Schema):
    """An order or a quote."""

    id = TEXT(required=True)
    kind = TEXT(required=True)
    state = TEXT(required=True)
    number = TEXT(required=True)
    lines = fields.List(fields.Nested(OrderLine), required=True)
    totals = fields.Nested(Totals, required=True)
    payment = fields.Nested(OrderPayment, required=True)
    instructions = fields.Nested(
        Instructions, allow_none=True, required=True, metadata={"description": "While a wire or check is awaited"}
    )
    purchase_order = fields.Nested(PurchaseOrderShown, allow_none=True, required=True)
    terms_version = TEXT(required=True)
    placed_at = WHEN(required=True)
    expires_at = maybe(WHEN)
    paid_at = maybe(WHEN)
    fulfilled_at = maybe(WHEN)
    cancel_reason = maybe(TEXT)
    next_action = fields.Nested(NextAction, allow_none=True, required=True)
    quote_id = TEXT(allow_none=True, metadata={"description": "The quote that it was made from"})
    quote = fields.Nested(QuoteShown, allow_none=True)
    billing_address = fields.Nested(AddressShown, allow_none=True)
    tax = fields.Nested(TaxShown, allow_none=True)
    dispute = fields.Nested(DisputeShown, allow_none=True)
    support_cards = fields.List(
        fields.Nested(OrderCard), required=True, allow_none=True,
        metadata={"description": "Null while the credits service does not answer; read the order again"},
    )  # fmt: skip


class NamedOrganization(Schema):
    """An organisation."""

    id = TEXT(required=True)
    name = TEXT(required=True)


class NamedBuyer(Schema):
    """Who placed an order."""

    email = TEXT(required=True)
    name = TEXT(required=True)


class OrderInShort(Schema):
    """An order as a search shows it to staff. `problem`: a person must look at it."""

    id = TEXT(required=True)
    number = TEXT(required=True)
    kind = TEXT(required=True)
    state = TEXT(required=True)
    organization = fields.Nested(NamedOrganization, required=True)
    buyer = fields.Nested(NamedBuyer, required=True)
    total = money(required=True)
    payment_method = TEXT(required=True)
    card_last4 = maybe(TEXT)
    purchase_order_number = maybe(TEXT)
    placed_at = WHEN(required=True)
    paid_at = maybe(WHEN)
    problem = maybe(TEXT)
    dispute = TEXT(allow_none=True, metadata={"description": "open, won or lost"})
