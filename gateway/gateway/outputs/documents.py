"""Invoices, credit notes and quotes as documents."""

from __future__ import annotations

from marshmallow import Schema, fields

from chassis.messages import money
from gateway.outputs.accounts import Party
from gateway.outputs.cart import AddressShown, TaxShown, Totals
from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe
from gateway.outputs.orders import Order
from gateway.outputs.payments import CardOnFile


class Issuer(Schema):
    """Who sells."""

    name = TEXT(required=True)
    address = TEXT(required=True)
    tax_number = TEXT(required=True)


class InvoicedOrder(Schema):
    """What a document is for."""

    id = TEXT(required=True)
    number = TEXT(required=True)


class InvoicedBuyer(Schema):
    """Who ordered."""

    name = TEXT(required=True)
    email = TEXT(required=True)


class InvoiceLine(Schema):
    """A line of an invoice."""

    sku = TEXT(required=True)
    name = TEXT(required=True)
    quantity = NUMBER(required=True)
    unit_price = money(required=True)
    total = money(required=True)
    tax = money(allow_none=True, required=True)
    deployment_id = maybe(TEXT)


class InvoicePayment(Schema):
    """How an order is paid, or to be paid."""

    method = TEXT(required=True)
    card = fields.Nested(CardOnFile, allow_none=True, required=True)
    reference = maybe(TEXT, metadata={"description": "To be given with the money"})
    due_on = maybe(fields.Date)


class _Document(Schema):
    number = TEXT(required=True)
    issued_at = WHEN(required=True)
    issuer = fields.Nested(Issuer, required=True)
    order = fields.Nested(InvoicedOrder, required=True)
    organization = fields.Nested(Party, required=True)
    buyer = fields.Nested(InvoicedBuyer, required=True)
    billing_address = fields.Nested(AddressShown, allow_none=True, required=True)
    tax = fields.Nested(TaxShown, allow_none=True, required=True)
    purchase_order_number = maybe(TEXT)
    totals = fields.Nested(Totals, required=True)


class Quote(Order):
    """A quote to pass on."""

    issuer = fields.Nested(Issuer, required=True)
    organization = fields.Nested(Party, required=True)


class CreditNote(_Document):
    """What was given back of an invoice."""

    invoice_number = TEXT(required=True)


class Invoice(_Document):
    """An invoice; invoices are numbered without gaps."""

    state = TEXT(required=True, metadata={"description": "open, paid or void"})
    paid_at = maybe(WHEN)
    voided_at = maybe(WHEN)
    lines = fields.List(fields.Nested(InvoiceLine), required=True)
    terms_version = TEXT(required=True)
    payment = fields.Nested(InvoicePayment, required=True)
    supplied_on = maybe(fields.Date, metadata={"description": "Where it is another day than that of the invoice"})
    credit_notes = fields.List(fields.Nested(CreditNote), required=True)


class DocumentInShort(Schema):
    """An invoice or credit note as a list shows it."""

    id = TEXT(required=True)
    number = TEXT(required=True)
    kind = TEXT(required=True, metadata={"description": "invoice or credit_note"})
    issuer = TEXT(required=True, metadata={"description": "Whose series the number is of"})
    state = TEXT(required=True, metadata={"description": "open, paid or void; a credit note is issued"})
    issued_at = WHEN(required=True)
    paid_at = maybe(WHEN)
    voided_at = maybe(WHEN)
    order = fields.Nested(InvoicedOrder, required=True)
    organization = fields.Nested(Party, required=True)
    purchase_order_number = maybe(TEXT)
    totals = fields.Nested(Totals, required=True)
    invoice_number = maybe(TEXT, metadata={"description": "Of which a credit note is"})
