"""Refunds."""

from __future__ import annotations

from marshmallow import Schema, fields

from chassis.messages import money
from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class RefundedCredits(Schema):
    """What became of the credits that a refunded order had brought."""

    taken_back = NUMBER(required=True)
    claimed = NUMBER(required=True, metadata={"description": "On cards that were claimed; they stay there"})
    spent = NUMBER(required=True)
    expired = NUMBER(required=True, metadata={"description": "Not claimed, or not used, in time"})


class RefundedLineShown(Schema):
    """Pieces of a line that were given back."""

    line_id = TEXT(required=True)
    quantity = NUMBER(required=True)


class Refund(Schema):
    """A refund of an order: of all of it, or a part."""

    id = TEXT(required=True)
    order_id = TEXT(required=True)
    state = TEXT(
        required=True,
        metadata={
            "description": "awaiting_approval, rejected, taking_back, returning_money, awaiting_payout, done, refused "
            "or failed"
        },
    )  # fmt: skip
    amount = money(required=True)
    reason = TEXT(required=True)
    claimed = TEXT(required=True, metadata={"description": "refuse or refund_anyway"})
    credits = fields.Nested(RefundedCredits, required=True, allow_none=True)
    lines = fields.List(
        fields.Nested(RefundedLineShown), required=True, allow_none=True,
        metadata={"description": "Null for all that was left, or for money only"},
    )  # fmt: skip
    money_only = fields.Boolean(required=True, metadata={"description": "Nothing that was bought is taken back"})
    left = money(required=True)
    approved_by = maybe(TEXT, metadata={"description": "Whoever agreed or did not, if it needed a second person"})
    requested_by = TEXT(required=True)
    requested_at = WHEN(required=True)
    ended_at = maybe(WHEN)
    failure_code = maybe(TEXT)
