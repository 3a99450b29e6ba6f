"""The bodies that the provider's API takes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.messages import Paragraphs, PlainString, RequestSchema, StrictInteger
from kernel.card_numbers import brand_of, passes_luhn
from kernel.money import MINOR_DIGITS
from payments.offline_provider import disputes
from payments.offline_provider.cards import TEST_CARDS, security_code_length


def digits_of(number: str) -> str:
    """A card number as typed, without the spaces and hyphens that people put in."""
    return re.sub(r"[ -]", "", number)


def _check_number(number: str) -> None:
    digits = digits_of(number)
    if not re.fullmatch(r"[0-9]{13,19}", digits) or not passes_luhn(digits):
        raise ValidationError("This is not a valid card number.")
    if digits not in TEST_CARDS:
        raise ValidationError("Only test cards are taken here, e.g. 4242 4242 4242 4242.")


class TokenRequest(RequestSchema):
    """A card, from the browser. Error messages never repeat what was sent."""

    number = fields.String(required=True, validate=_check_number)
    exp_month = StrictInteger(required=True, validate=validate.Range(min=1, max=12))
    exp_year = StrictInteger(required=True, validate=validate.Range(min=2000, max=2099))
    cvc = fields.String(required=True, validate=validate.Regexp(r"[0-9]{3,4}\Z", error="Give the 3 or 4 digits."))
    name = PlainString(required=True, max_length=200)

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self._now = now

    @validates_schema(skip_on_field_errors=True)
    def _check_together(self, data: dict[str, Any], **_: Any) -> None:
        if (data["exp_year"], data["exp_month"]) < (self._now.year, self._now.month):
            raise ValidationError("The card has expired.", "exp_year")  # it is good to the end of its month
        length = security_code_length(brand_of(digits_of(data["number"])))
        if len(data["cvc"]) != length:
            raise ValidationError(f"The security code of this card has {length} digits.", "cvc")


class VoidRequest(RequestSchema):
    """Which key to give up."""

    idempotency_key = PlainString(required=True, max_length=255)


class CardRequest(RequestSchema):
    """Which card to keep."""

    token = PlainString(required=True, max_length=255)


class ChargeRequest(RequestSchema):
    """What to charge."""

    token = PlainString(required=True, max_length=255)
    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1, max=10**12))
    currency = fields.String(required=True, validate=validate.OneOf(sorted(MINOR_DIGITS)))
    reference = PlainString(required=True, max_length=255)


class RefundRequest(RequestSchema):
    """What to give back."""

    charge_id = PlainString(required=True, max_length=64)
    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1, max=10**12))
    currency = fields.String(required=True, validate=validate.OneOf(sorted(MINOR_DIGITS)))


class DisputeRequest(RequestSchema):
    """A payer disputes a charge: for whoever tries what the merchant makes of it."""

    charge_id = PlainString(required=True, max_length=64)
    reason = fields.String(load_default=disputes.REASONS[0], validate=validate.OneOf(disputes.REASONS))
    amount_minor = StrictInteger(load_default=None, allow_none=True, validate=validate.Range(min=1, max=10**12))


class DisputeDecision(RequestSchema):
    """What the card network decides, for the same."""

    outcome = fields.String(required=True, validate=validate.OneOf([disputes.WON, disputes.LOST]))


class EvidenceRequest(RequestSchema):
    """Why the charge was right."""

    text = Paragraphs(required=True, max_length=4000)
