"""How the offline provider's HTTP answers are understood. What does not fit to the letter is `Unknown`."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.messages import MoneySchema, PlainString, StrictInteger, TolerantSchema, UtcDateTime
from kernel.money import Money
from payments.domain.provider import (
    Captured,
    Card,
    Declined,
    DisputeAnswer,
    DisputedCharge,
    DisputeNews,
    DisputeOver,
    DisputeState,
    KeepOutcome,
    KeptCard,
    NotSeen,
    Outcome,
    Refunded,
    RefundOutcome,
    RefundRefused,
    RequiresAction,
    Taken,
    Unknown,
    Voided,
)

#: A refusal of the request itself: nothing was charged, and asking again cannot change it.
_REFUSED_FOR_GOOD = (400, 422)


class _Card(TolerantSchema):
    brand = PlainString(required=True, max_length=20)
    last4 = fields.String(required=True, validate=validate.Regexp(r"[0-9]{4}\Z"))


class _Error(TolerantSchema):
    code = PlainString(required=True, max_length=64)


class _Refusal(TolerantSchema):
    error = fields.Nested(_Error, required=True)


class _NextAction(TolerantSchema):
    url = fields.Url(required=True, schemes={"http", "https"}, require_tld=False, validate=validate.Length(max=2048))
    expires_at = UtcDateTime(required=True)


class _Charge(TolerantSchema):
    id = PlainString(required=True, max_length=64)
    idempotency_key = PlainString(required=True, max_length=255)
    status = fields.String(required=True, validate=validate.OneOf(["succeeded", "failed", "requires_action"]))
    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1))
    currency = MoneySchema().fields["currency"]
    card = fields.Nested(_Card, required=True, allow_none=True)
    error = fields.Nested(_Error, required=True, allow_none=True)
    next_action = fields.Nested(_NextAction, load_default=None, allow_none=True)
    created_at = UtcDateTime(required=True)


class _Charges(TolerantSchema):
    items = fields.List(fields.Nested(_Charge), required=True, validate=validate.Length(max=1))
    voided = fields.Boolean(load_default=False, truthy={True}, falsy={False})


class _VoidAnswer(TolerantSchema):
    idempotency_key = PlainString(required=True, max_length=255)
    voided = fields.Boolean(required=True, truthy={True}, falsy={False})
    charge = fields.Nested(_Charge, required=True, allow_none=True)


class _KeptCard(_Card):
    id = PlainString(required=True, max_length=64)
    idempotency_key = PlainString(required=True, max_length=255)
    exp_month = StrictInteger(required=True, validate=validate.Range(min=1, max=12))
    exp_year = StrictInteger(required=True, validate=validate.Range(min=2000, max=2099))


class _Refund(TolerantSchema):
    id = PlainString(required=True, max_length=64)
    idempotency_key = PlainString(required=True, max_length=255)
    status = fields.String(required=True, validate=validate.OneOf(["succeeded", "failed"]))
    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1))
    currency = MoneySchema().fields["currency"]
    error = fields.Nested(_Error, required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


class _Refunds(TolerantSchema):
    items = fields.List(fields.Nested(_Refund), required=True, validate=validate.Length(max=1))


class _Dispute(TolerantSchema):
    id = PlainString(required=True, max_length=64)
    charge_id = PlainString(required=True, max_length=64)
    reference = PlainString(required=True, max_length=255)
    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1))
    currency = MoneySchema().fields["currency"]
    reason = PlainString(required=True, max_length=64)
    status = fields.Enum(DisputeState, by_value=True, required=True)
    evidence_due_at = UtcDateTime(required=True)
    created_at = UtcDateTime(required=True)
    closed_at = UtcDateTime(required=True, allow_none=True)

    @validates_schema(skip_on_field_errors=True)
    def _check_closed(self, data: dict[str, Any], **_: Any) -> None:
        if (data["status"] is DisputeState.OPEN) != (data["closed_at"] is None):
            raise ValidationError("A dispute is either open or closed at some moment.", "closed_at")


class _Disputes(TolerantSchema):
    items = fields.List(fields.Nested(_Dispute), required=True)
    last = StrictInteger(required=True, validate=validate.Range(min=0))


# made once: making one takes longer than reading an answer with it
_CHARGE, _CHARGES, _REFUSAL, _VOID_ANSWER = _Charge(), _Charges(), _Refusal(), _VoidAnswer()
_REFUND, _REFUNDS, _KEPT_CARD = _Refund(), _Refunds(), _KeptCard()
_DISPUTE, _DISPUTES = _Dispute(), _Disputes()


def outcome_of_charge(key: str, status: int, body: Any) -> Outcome:
    """What an answer to ``POST /charges`` means.

    Args:
        key: the idempotency key that was sent.
        status: of the HTTP answer.
        body: its JSON.
    """
    try:
        if status in (200, 201, 202):
            return _read(key, _CHARGE.load(body))
        if status == 402:
            return Declined(_REFUSAL.load(body)["error"]["code"])
        if status == 410 and _REFUSAL.load(body)["error"]["code"] == "key_voided":
            return Voided()
        if status in _REFUSED_FOR_GOOD:
            _REFUSAL.load(body)
            return Declined("processing_error")
    except ValidationError:
        return Unknown(f"garbage with status {status}")
    return Unknown(f"status {status}")


def outcome_of_find(key: str, status: int, body: Any) -> Outcome | NotSeen:
    """What an answer to ``GET /charges?idempotency_key=`` means."""
    if status != 200:
        return Unknown(f"status {status}")
    try:
        found = _CHARGES.load(body)
    except ValidationError:
        return Unknown("garbage with status 200")
    if found["items"]:
        return Unknown("a voided charge") if found["voided"] else _read(key, found["items"][0])
    return Voided() if found["voided"] else NotSeen()


def outcome_of_void(key: str, status: int, body: Any) -> Outcome:
    """What an answer to ``POST /charges/void`` means."""
    if status != 200:
        return Unknown(f"status {status}")
    try:
        answer = _VOID_ANSWER.load(body)
    except ValidationError:
        return Unknown("garbage with status 200")
    if answer["idempotency_key"] != key or answer["voided"] == bool(answer["charge"]):
        return Unknown("a void that contradicts itself")
    return Voided() if answer["voided"] else _read(key, answer["charge"])


def _read(key: str, charge: dict[str, Any]) -> Outcome:
    if charge["idempotency_key"] != key:
        return Unknown("another key's charge")
    if charge["status"] == "failed" and charge["error"]:
        return Declined(charge["error"]["code"])
    if charge["status"] == "succeeded" and charge["card"] and not charge["error"]:
        return Captured(
            charge["id"],
            Money(charge["amount_minor"], charge["currency"]),
            Card(charge["card"]["brand"], charge["card"]["last4"]),
            charge["created_at"],
        )
    if charge["status"] == "requires_action" and charge["next_action"] and not charge["error"]:
        return RequiresAction(charge["next_action"]["url"], charge["next_action"]["expires_at"])
    return Unknown("a charge that contradicts itself")


def outcome_of_refund(key: str, status: int, body: Any) -> RefundOutcome:
    """What an answer to ``POST /refunds`` means.

    Args:
        key: the idempotency key that was sent.
        status: of the HTTP answer.
        body: its JSON.
    """
    try:
        if status in (200, 201):
            return _read_refund(key, _REFUND.load(body))
        if status == 402 or status in _REFUSED_FOR_GOOD:
            return RefundRefused(_REFUSAL.load(body)["error"]["code"])
    except ValidationError:
        return Unknown(f"garbage with status {status}")
    return Unknown(f"status {status}")


def outcome_of_find_refund(key: str, status: int, body: Any) -> RefundOutcome | NotSeen:
    """What an answer to ``GET /refunds?idempotency_key=`` means."""
    if status != 200:
        return Unknown(f"status {status}")
    try:
        items = _REFUNDS.load(body)["items"]
    except ValidationError:
        return Unknown("garbage with status 200")
    return _read_refund(key, items[0]) if items else NotSeen()


def _read_refund(key: str, refund: dict[str, Any]) -> RefundOutcome:
    if refund["idempotency_key"] != key:
        return Unknown("another key's refund")
    if refund["status"] == "failed" and refund["error"]:
        return RefundRefused(refund["error"]["code"])
    if refund["status"] == "succeeded" and not refund["error"]:
        return Refunded(refund["id"], Money(refund["amount_minor"], refund["currency"]), refund["created_at"])
    return Unknown("a refund that contradicts itself")


def outcome_of_keep(key: str, status: int, body: Any) -> KeepOutcome:
    """What an answer to ``POST /cards`` means."""
    try:
        if status in (200, 201):
            kept = _KEPT_CARD.load(body)
            if kept["idempotency_key"] != key:
                return Unknown("another key's card")
            return KeptCard(kept["id"], Card(kept["brand"], kept["last4"]), kept["exp_month"], kept["exp_year"])
        if status == 402 or status in _REFUSED_FOR_GOOD:
            return Declined(_REFUSAL.load(body)["error"]["code"])
    except ValidationError:
        return Unknown(f"garbage with status {status}")
    return Unknown(f"status {status}")


def news_of_disputes(status: int, body: Any) -> DisputeNews | Unknown:
    """What an answer to ``GET /disputes?after=`` means."""
    if status != 200:
        return Unknown(f"status {status}")
    try:
        found = _DISPUTES.load(body)
    except ValidationError:
        return Unknown("garbage with status 200")
    return DisputeNews([_read_dispute(each) for each in found["items"]], str(found["last"]))


def _read_dispute(dispute: dict[str, Any]) -> DisputedCharge:
    return DisputedCharge(
        dispute["id"],
        dispute["charge_id"],
        dispute["reference"],
        Money(dispute["amount_minor"], dispute["currency"]),
        dispute["reason"],
        dispute["status"],
        dispute["created_at"],
        dispute["evidence_due_at"],
        dispute["closed_at"],
    )


def answer_of_dispute(dispute_id: str, status: int, body: Any) -> DisputeAnswer:
    """What an answer to ``POST /disputes/{id}/evidence`` or ``/accept`` means."""
    try:
        if status in (200, 201):
            return Taken() if _DISPUTE.load(body)["id"] == dispute_id else Unknown("another dispute")
        if status == 409:
            _REFUSAL.load(body)
            return DisputeOver()
    except ValidationError:
        return Unknown(f"garbage with status {status}")
    return Unknown(f"status {status}")
