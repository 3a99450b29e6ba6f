"""Balances, entries, and what staff do to them."""

from __future__ import annotations

from marshmallow import Schema, fields

from gateway.outputs.common import NUMBER, TEXT, WHEN, maybe


class Expiry(Schema):
    """Credits that cannot be used any more from one moment on."""

    expires_at = maybe(WHEN, metadata={"description": "Null: never"})
    credits = NUMBER(required=True)


class Balance(Schema):
    """The credits of your organisation."""

    balance = NUMBER(required=True, metadata={"description": "What you can use now"})
    held = NUMBER(metadata={"description": "Beside it: what is held for tickets and disputes"})
    unit = TEXT(required=True)
    minutes_per_credit = NUMBER(required=True)
    expiries = fields.List(
        fields.Nested(Expiry),
        metadata={"description": "The whole balance by expiry, what expires first before the rest"},
    )


class Entry(Schema):
    """One line of the statement."""

    id = TEXT(required=True)
    kind = TEXT(required=True)
    amount = NUMBER(required=True, metadata={"description": "Credits, negative if they went"})
    balance_after = NUMBER(allow_none=True)
    memo = maybe(TEXT)
    occurred_at = WHEN(required=True)
    order_id = maybe(TEXT)
    card_id = maybe(TEXT)
    expires_at = WHEN(
        allow_none=True, metadata={"description": "Of the credits that the entry brought; null: they do not expire"}
    )


class BalanceAlert(Schema):
    """Below which balance a mail is sent, and to whom; null: none."""

    threshold = maybe(NUMBER)
    email = maybe(TEXT)


class Spent(Schema):
    """What was spent, and what is left."""

    id = TEXT(required=True, metadata={"description": "The entry of the organisation's statement"})
    organization_id = TEXT(required=True)
    credits = NUMBER(required=True)
    balance = NUMBER(required=True)


class Granted(Spent):
    """What was given."""

    expires_at = maybe(WHEN)


class Adjusted(Schema):
    """What was added to a balance or, negative, taken off, and what is left."""

    id = TEXT(required=True, metadata={"description": "The entry of the organisation's statement"})
    organization_id = TEXT(required=True)
    credits = NUMBER(required=True)
    balance = NUMBER(required=True)
