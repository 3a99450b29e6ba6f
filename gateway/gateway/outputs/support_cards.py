"""Support credit cards."""

from __future__ import annotations

from marshmallow import Schema, fields

from gateway.outputs.accounts import Party
from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class CardBoundTo(Schema):
    """Who alone may claim a card: one of the two."""

    organization_number = maybe(TEXT)
    mail_domain = maybe(TEXT)


class SupportCard(Schema):
    """A support credit card, masked."""

    id = TEXT(required=True)
    number_masked = TEXT(required=True)
    state = TEXT(required=True, metadata={"description": "issued, claimed, recalled, expired, frozen or split"})
    credits = NUMBER(required=True)
    issued_at = WHEN(required=True)
    claimed_at = maybe(WHEN)
    expires_at = maybe(WHEN)
    order_id = maybe(TEXT)
    claimant = fields.Nested(Party, allow_none=True, required=True)
    issuer = fields.Nested(Party, required=True)
    bound_to = fields.Nested(CardBoundTo, allow_none=True, metadata={"description": "Shown to the issuer"})
    frozen_by = TEXT(allow_none=True, metadata={"description": "issuer, staff or dispute; shown to the issuer"})
    split_from = TEXT(allow_none=True, metadata={"description": "The card it was split off; shown to the issuer"})


class CardPreview(Schema):
    """What claiming the card would bring, and to whom."""

    number_masked = TEXT(required=True)
    credits = NUMBER(required=True)
    expires_at = maybe(WHEN)
    organization = fields.Nested(Party, required=True)


class Claim(Schema):
    """A claimed card."""

    card = fields.Nested(SupportCard, required=True)
    credits = NUMBER(required=True)
    balance = NUMBER(required=True)


class Recall(Claim):
    """A recalled card: its credits are on the issuer's balance."""


class SplitCard(Schema):
    """A card that was split, and the cards that it was split into."""

    card = fields.Nested(SupportCard, required=True)
    cards = fields.List(fields.Nested(SupportCard), required=True)
