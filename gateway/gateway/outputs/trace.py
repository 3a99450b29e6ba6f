"""Where a credit came from and went."""

from __future__ import annotations

from marshmallow import Schema, fields

from chassis.messages import money
from gateway.outputs.accounts import Party
from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe
from gateway.outputs.credit import Entry
from gateway.outputs.orders import OrderLine
from gateway.outputs.payments import CardOnFile


class TracedCard(Schema):
    """The card that credits came on."""

    id = TEXT(required=True)
    number_masked = TEXT(required=True)
    state = TEXT(required=True)
    credits = NUMBER(required=True)
    issued_at = WHEN(required=True)
    claimed_at = maybe(WHEN)
    issuer = fields.Nested(Party, required=True)
    split_from = fields.List(
        TEXT(), required=True, metadata={"description": "The cards it was split off, up to the one that was bought"}
    )


class TracedPayment(Schema):
    """How the order was paid."""

    id = maybe(TEXT)
    method = TEXT(required=True)
    state = maybe(TEXT)
    card = fields.Nested(CardOnFile, allow_none=True, required=True)


class TracedInvoice(Schema):
    """The invoice of the order."""

    number = TEXT(required=True)
    state = TEXT(required=True)


class TracedOrder(Schema):
    """The order that credits came of. What your role may not see is null."""

    id = TEXT(required=True)
    line_id = TEXT(required=True)
    number = maybe(TEXT)
    placed_at = maybe(WHEN)
    paid_at = maybe(WHEN)
    purchase_order_number = maybe(TEXT)
    line = fields.Nested(OrderLine, allow_none=True, required=True)
    total = money(allow_none=True, required=True)
    payment = fields.Nested(TracedPayment, allow_none=True, required=True)
    invoice = fields.Nested(TracedInvoice, allow_none=True, required=True)


class TracedSource(Schema):
    """Credits that came together: how many of them the entry moved, and where they came from."""

    entry_id = TEXT(required=True, metadata={"description": "The entry that brought them"})
    kind = TEXT(required=True)
    credits = NUMBER(required=True, metadata={"description": "Negative if they went"})
    memo = TEXT(required=True)
    occurred_at = WHEN(required=True)
    expires_at = maybe(WHEN)
    free = fields.Boolean(required=True, metadata={"description": "Given by staff rather than bought"})
    card = fields.Nested(TracedCard, allow_none=True, required=True)
    order = fields.Nested(
        TracedOrder, allow_none=True, required=True,
        metadata={"description": "Null for what staff gave, and where the order is another organisation's"},
    )  # fmt: skip


class TracedUse(Schema):
    """What credits that the entry brought were used for."""

    entry_id = TEXT(required=True)
    kind = TEXT(required=True)
    credits = NUMBER(required=True)
    memo = TEXT(required=True)
    occurred_at = WHEN(required=True)


class Trace(Schema):
    """An entry of a statement, explained."""

    organization_id = TEXT(required=True)
    entry = fields.Nested(Entry, required=True)
    sources = fields.List(fields.Nested(TracedSource), required=True)
    uses = fields.List(fields.Nested(TracedUse), required=True, metadata={"description": "The newest 100"})
