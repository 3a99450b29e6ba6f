"""What clients may send. An unknown field, a price or a state among them, is an error."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.identity import SCOPES
from chassis.messages import (
    MoneySchema,
    Paragraphs,
    PlainString,
    RequestSchema,
    StrictBoolean,
    StrictInteger,
    UtcDateTime,
)
from gateway.services import SERVICES
from kernel.money import MINOR_DIGITS

#: No product allows as many; the cart knows each one's own cap.
_MOST = 1_000_000
_MOST_CREDITS = 10**9
#: The largest whole number that every JSON reader has (RFC 8259, section 6).
_LARGEST = 2**53 - 1
_DESTINATIONS = ("organization", "support_card")


class QueryInteger(fields.Integer):
    """A whole number in a query: digits only, where Python would take ``1_0`` and ``+1`` too."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Secret(fields.String):
    """A password or code as it was typed, spaces included; no control characters."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=1, max=max_length), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise ValidationError("Control characters and line breaks are not allowed.")
        return text


class Nothing(RequestSchema):
    """No field at all; the body may be left out."""


class NewSession(RequestSchema):
    """Who wants to sign in."""

    email = PlainString(required=True, max_length=254)
    password = Secret(required=True, max_length=1024)


class NewUser(RequestSchema):
    """Who wants an account, and an organisation that begins with it."""

    email = PlainString(required=True, max_length=254)
    password = Secret(required=True, max_length=1024, metadata={"description": "10 characters or more"})
    name = PlainString(required=True)
    organization_name = PlainString(required=True)
    language = PlainString(allow_none=True, max_length=20, metadata={"description": "Of mails: en, de-AT"})


class MailedToken(RequestSchema):
    """The token that stands in the mail, and at the end of its link."""

    token = PlainString(required=True, max_length=64)


class ForgottenPassword(RequestSchema):
    """Whose password is forgotten."""

    email = PlainString(required=True, max_length=254)


class NewPassword(RequestSchema):
    """The new password."""

    password = Secret(required=True, max_length=1024, metadata={"description": "10 characters or more"})


class PasswordChange(RequestSchema):
    """Your password, and what it is to be."""

    old_password = Secret(required=True, max_length=1024)
    new_password = Secret(required=True, max_length=1024, metadata={"description": "10 characters or more"})


class OrganizationChange(RequestSchema):
    """What to change of your organisation. A field that is missing stays as it is."""

    name = PlainString()
    time_zone = PlainString(max_length=64, metadata={"description": "IANA, such as Europe/Berlin"})
    language = PlainString(max_length=20, metadata={"description": "Of its documents: en, de-AT"})

    @validates_schema
    def _something(self, data: dict[str, Any], **options: Any) -> None:
        if not data:
            raise ValidationError("Name at least one field to change.")


#: Of customers, then of the platform's own people.
_ROLES = ("ticket", "viewer", "buyer", "admin", "finance", "support", "superuser")


class NewInvitation(RequestSchema):
    """Who is to become a user of your organisation."""

    email = PlainString(required=True, max_length=254)
    name = PlainString(required=True)
    role = fields.String(required=True, validate=validate.OneOf(_ROLES))


class UserChange(RequestSchema):
    """What to change of a user. A field that is missing stays as it is."""

    name = PlainString()
    role = fields.String(validate=validate.OneOf(_ROLES))
    active = StrictBoolean(metadata={"description": "Whether the user may sign in"})

    @validates_schema
    def _something(self, data: dict[str, Any], **options: Any) -> None:
        if not data:
            raise ValidationError("Name at least one field to change.")


class NewApiKey(RequestSchema):
    """A key for a program."""

    name = PlainString(required=True, max_length=100)
    scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES)), allow_none=True, validate=validate.Length(1, len(SCOPES)),
        metadata={"description": "What it may be used for; all that you may do unless you say. Every key may read"},
    )  # fmt: skip


class NewAddress(RequestSchema):
    """An address. Its country says whether it has, and needs, a state, a ZIP and a city."""

    name = PlainString(required=True, metadata={"description": "To whom"})
    company = PlainString(allow_none=True)
    address = PlainString(required=True, metadata={"description": "Street and number, or a P.O. box"})
    address_2 = PlainString(allow_none=True)
    city = PlainString(allow_none=True)
    state = PlainString(allow_none=True, metadata={"description": "In full or short; kept short"})
    zip = PlainString(allow_none=True, max_length=20)
    country = PlainString(required=True, max_length=2, metadata={"description": "ISO 3166-1, two letters"})
    default_billing = StrictBoolean()
    default_shipping = StrictBoolean()


class AddressChange(RequestSchema):
    """What to change of an address. A field that is missing stays as it is; null empties it."""

    name = PlainString()
    company = PlainString(allow_none=True)
    address = PlainString()
    address_2 = PlainString(allow_none=True)
    city = PlainString(allow_none=True)
    state = PlainString(allow_none=True)
    zip = PlainString(allow_none=True, max_length=20)
    country = PlainString(max_length=2)
    default_billing = StrictBoolean()
    default_shipping = StrictBoolean()

    @validates_schema
    def _something(self, data: dict[str, Any], **options: Any) -> None:
        if not data:
            raise ValidationError("Name at least one field to change.")


class TaxCertificate(RequestSchema):
    """The number of the certificate by which an organisation is exempt from tax; null if it is not."""

    certificate = PlainString(required=True, allow_none=True, max_length=64)


class PageQuery(RequestSchema):
    """Which part of a list."""

    limit = QueryInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = PlainString(max_length=200)


def _day(name: str, about: str) -> fields.Date:
    within = validate.Range(min=date(1970, 1, 1), max=date(9998, 12, 31))
    return fields.Date(data_key=name, format="iso", validate=within, metadata={"description": about})


class DaysQuery(PageQuery):
    """Those of some days, in UTC; or all."""

    first_day = _day("from", "The first day")
    last_day = _day("to", "The last day")

    @validates_schema
    def _in_order(self, data: dict[str, Any], **options: Any) -> None:
        if "first_day" in data and "last_day" in data and data["first_day"] > data["last_day"]:
            raise ValidationError("The first day is after the last one.", "from")


class InvoiceQuery(DaysQuery):
    """Invoices and credit notes that fit everything said, issued on some days, in UTC; nothing said is all of them."""

    kind = fields.String(validate=validate.OneOf(["invoice", "credit_note"]))
    state = fields.String(validate=validate.OneOf(["open", "paid", "void", "issued"]))
    number = PlainString(max_length=32)
    order_id = PlainString(max_length=64)
    purchase_order_number = PlainString(max_length=64)


class InvoiceSearch(InvoiceQuery):
    """The same of anybody."""

    issuer = PlainString(max_length=40, metadata={"description": "Whose series of numbers"})
    organization_id = PlainString(max_length=64)


class DeploymentQuery(PageQuery):
    """Part of an ID (its beginning) or of a name (anywhere)."""

    q = PlainString(load_default="", min_length=0)


class OrganizationQuery(PageQuery):
    """A number, an id, or a part of a name."""

    q = PlainString(load_default="", min_length=0)


class NewDeployment(RequestSchema):
    """A deployment: 1 to 12 digits, and a name for people."""

    id = PlainString(required=True, max_length=12)
    name = PlainString(required=True)


class ProductQuery(PageQuery):
    """Products of one category, or all."""

    category = PlainString(max_length=100)


class OrderQuery(PageQuery):
    """Orders in one state, of one kind, or with one purchase order number."""

    state = PlainString(max_length=40)
    kind = fields.String(validate=validate.OneOf(["order", "quote"]))
    purchase_order = PlainString(max_length=64)


class OrderSearch(PageQuery):
    """Orders that fit everything said; nothing said is all of them."""

    number = PlainString(max_length=32)
    buyer_email = PlainString(max_length=320)
    organization_id = PlainString(max_length=64)
    purchase_order_number = PlainString(max_length=64)
    state = PlainString(max_length=40)
    kind = fields.String(validate=validate.OneOf(["order", "quote"]))
    last4 = fields.String(
        validate=validate.Regexp(r"[0-9]{4}\Z", error="The last four digits of the card."),
        metadata={"description": "Of a card that was tried"},
    )
    provider_id = PlainString(max_length=64, metadata={"description": "The provider's of a charge, refund or dispute"})
    reference = PlainString(max_length=64, metadata={"description": "A payment reference"})
    bank_reference = PlainString(max_length=64, metadata={"description": "The bank's own, or the check's number"})


class CartQuery(RequestSchema):
    """With a billing address the cart is shown with its tax."""

    billing_address_id = PlainString(max_length=64)


class AlertThreshold(RequestSchema):
    """Below which balance to send a mail; null: none."""

    threshold = StrictInteger(required=True, allow_none=True, validate=validate.Range(min=1, max=_MOST_CREDITS))


class CardQuery(PageQuery):
    """The cards that your organisation bought, or those it claimed; all, or those in one state."""

    state = fields.String(validate=validate.OneOf(["issued", "claimed", "recalled", "expired", "frozen", "split"]))
    role = fields.String(load_default="issuer", validate=validate.OneOf(["issuer", "claimant"]))


class DeadLetterQuery(PageQuery):
    """Dead letters of one service or all, of causes that begin so or all."""

    service = fields.String(validate=validate.OneOf(SERVICES))
    cause = PlainString(max_length=100)


class OwnAuditQuery(PageQuery):
    """Changes of one thing, by one person, of one kind, or all."""

    subject_id = PlainString(max_length=64)
    actor_id = PlainString(max_length=64)
    action = PlainString(max_length=64)


class AuditQuery(OwnAuditQuery):
    """Of one organisation, or of all."""

    organization_id = PlainString(max_length=64)


class Replay(RequestSchema):
    """Which dead letters of a service to try again: one, or those whose cause begins so."""

    service = fields.String(required=True, validate=validate.OneOf(SERVICES))
    id = PlainString(max_length=64)
    cause = PlainString(max_length=100)

    @validates_schema
    def _one_choice(self, data: dict[str, Any], **options: Any) -> None:
        if ("id" in data) == ("cause" in data):
            raise ValidationError("Say either id or cause.")


class RecallCard(RequestSchema):
    """Nothing: the address says which card."""


class CardBinding(RequestSchema):
    """Who alone may claim a card: one organisation, or people with a mail address at one domain; null: anybody."""

    organization_number = PlainString(allow_none=True, max_length=64)
    mail_domain = PlainString(allow_none=True, max_length=253, metadata={"example": "bolt.example"})

    @validates_schema
    def _one_choice(self, data: dict[str, Any], **options: Any) -> None:
        if not data or (all(value is not None for value in data.values()) and len(data) > 1):
            raise ValidationError("Say organization_number or mail_domain; null to let anybody claim the card.")


class CardParts(RequestSchema):
    """The credits of each card that a card is split into; together as many as it has."""

    credits = fields.List(
        StrictInteger(validate=validate.Range(min=1, max=_MOST_CREDITS)), required=True,
        validate=validate.Length(min=2, max=50),
    )  # fmt: skip


class NewSpend(RequestSchema):
    """Credits of an organisation, to spend for a cause. An organisation pays once for each cause."""

    organization_id = PlainString(required=True, max_length=64)
    credits = StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST_CREDITS))
    cause = PlainString(required=True, max_length=64)
    memo = PlainString(required=True, max_length=200)


class NewGrant(RequestSchema):
    """Credits for an organisation that it need not pay for."""

    organization_id = PlainString(required=True, max_length=64)
    credits = StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST_CREDITS))
    reason = PlainString(required=True, max_length=200)
    expires_at = UtcDateTime(
        allow_none=True, metadata={"description": "From when on they cannot be used; the setting unless told"}
    )


class NewAdjustment(RequestSchema):
    """Credits to add to an organisation's balance or, negative, to take off it."""

    organization_id = PlainString(required=True, max_length=64)
    credits = StrictInteger(
        required=True, validate=[validate.Range(min=-_MOST_CREDITS, max=_MOST_CREDITS), validate.NoneOf([0])]
    )
    reason = PlainString(required=True, max_length=200)


class RefundedLine(RequestSchema):
    """Pieces of a line."""

    line_id = PlainString(required=True, max_length=64)
    quantity = StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST))


class RefundedAmount(MoneySchema):
    """Money to give back."""

    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1, max=10**12))


class NewRefund(RequestSchema):
    """Why an order is refunded, what of it, and what to do about credits of it that were claimed or spent."""

    reason = PlainString(required=True, max_length=400)
    claimed = fields.String(load_default="refuse", validate=validate.OneOf(["refuse", "refund_anyway"]))
    lines = fields.List(
        fields.Nested(RefundedLine), validate=validate.Length(min=1, max=100),
        metadata={"description": "Pieces of these lines, with what they brought; all that is left without it"},
    )  # fmt: skip
    amount = fields.Nested(
        RefundedAmount, metadata={"description": "Or so much money, and nothing is taken back; less than what is left"}
    )

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **options: Any) -> None:
        if "lines" in data and "amount" in data:
            raise ValidationError("Say either lines or amount.")


class RefundDecision(RequestSchema):
    """Why a refund that waits for a second person is made, or not."""

    reason = PlainString(max_length=400)


class RefundQuery(PageQuery):
    """Refunds in one state, of one order, or all."""

    state = PlainString(max_length=40)
    order_id = PlainString(max_length=64)


class NewPayout(RequestSchema):
    """Money that was sent by bank for a refund, as the bank's statement says."""

    refund_id = PlainString(required=True, max_length=64)
    bank_reference = PlainString(
        required=True, max_length=64, metadata={"description": "The same one again is the same movement"}
    )
    paid_on = fields.Date(required=True, format="iso")


class PayoutQuery(PageQuery):
    """Payouts that wait, those that were sent, or all."""

    state = fields.String(validate=validate.OneOf(["waiting", "paid"]))


class DisputeQuery(PageQuery):
    """Disputes in one state, or of one order, or all."""

    state = fields.String(validate=validate.OneOf(["open", "won", "lost"]))
    order_id = PlainString(max_length=64)


class DisputeEvidence(RequestSchema):
    """Why a disputed charge was right."""

    evidence = Paragraphs(
        required=True, max_length=4000, metadata={"example": "The buyer claimed the card on the day of the purchase."}
    )


class SurplusSettlement(RequestSchema):
    """Use a surplus for another order, or say how it was sent back."""

    order_id = PlainString(max_length=64, metadata={"description": "Of the same organisation"})
    bank_reference = PlainString(max_length=64)
    paid_on = fields.Date(format="iso")

    @validates_schema
    def _one_way(self, data: dict[str, Any], **options: Any) -> None:
        if data.keys() not in ({"order_id"}, {"bank_reference", "paid_on"}):
            raise ValidationError("Say either order_id, or bank_reference and paid_on.")


class NewLine(RequestSchema):
    """What to put into the cart."""

    sku = PlainString(required=True, max_length=64)
    quantity = StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST))
    deployment_id = PlainString(allow_none=True, max_length=64)
    credit_destination = fields.String(allow_none=True, validate=validate.OneOf(_DESTINATIONS))
    currency = fields.String(
        allow_none=True,
        validate=validate.OneOf(sorted(MINOR_DIGITS)),
        metadata={"description": "To buy in; a cart is in one, and only an empty one takes another"},
    )


class LineChange(RequestSchema):
    """What to change of a line. A field that is missing stays as it is; null takes a choice back."""

    quantity = StrictInteger(validate=validate.Range(min=1, max=_MOST))
    deployment_id = PlainString(allow_none=True, max_length=64)
    credit_destination = fields.String(allow_none=True, validate=validate.OneOf(_DESTINATIONS))

    @validates_schema
    def _something(self, data: dict[str, Any], **options: Any) -> None:
        if not data:
            raise ValidationError("Name at least one field to change.")


class CartDeployment(RequestSchema):
    """The deployment for every line that needs one."""

    deployment_id = PlainString(required=True, max_length=64)


class Payment(RequestSchema):
    """How to pay; for a card either a saved one or a one-time token of the payment provider."""

    method = fields.String(required=True, validate=validate.OneOf(["card", "wire", "check", "quote"]))
    payment_method_id = PlainString(allow_none=True, max_length=64)
    provider_token = PlainString(allow_none=True, max_length=255)
    save = fields.Boolean(
        truthy={True}, falsy={False},
        metadata={"description": "Keep the card of `provider_token` for next time, once it is charged"},
    )  # fmt: skip


class PurchaseOrder(RequestSchema):
    """Your own number for the order; it is printed on the invoice."""

    number = PlainString(required=True, max_length=64)


class ExpectedTotal(MoneySchema):
    """What you saw as the total."""

    amount_minor = StrictInteger(required=True, validate=validate.Range(min=0, max=_LARGEST))


class NewOrder(RequestSchema):
    """The cart as an order."""

    payment = fields.Nested(Payment, required=True)
    billing_address_id = PlainString(allow_none=True, max_length=64)
    purchase_order = fields.Nested(PurchaseOrder, allow_none=True)
    accept_terms = PlainString(allow_none=True, max_length=40)
    expected_total = fields.Nested(ExpectedTotal, allow_none=True)


class ChangedPayment(RequestSchema):
    """Another way to pay for an order."""

    payment = fields.Nested(Payment, required=True)


class NewPaymentMethod(RequestSchema):
    """A card to save; `save` is the box that says so."""

    provider_token = PlainString(required=True, max_length=255)
    save = fields.Boolean(required=True, truthy={True}, falsy={False})


class PaymentMethodChange(RequestSchema):
    """Make a saved card the default."""

    default = fields.Boolean(required=True, truthy={True}, falsy=set(), metadata={"description": "true"})


class ReceivedAmount(MoneySchema):
    """What came."""

    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1, max=10**12))


class NewReceipt(RequestSchema):
    """Money that has come by wire or check, as the bank's statement or the check says."""

    reference = PlainString(max_length=64, metadata={"description": "The payment reference; or say order_id"})
    order_id = PlainString(max_length=64)
    method = fields.String(required=True, validate=validate.OneOf(["wire", "check"]))
    amount = fields.Nested(ReceivedAmount, required=True)
    received_on = fields.Date(required=True, format="iso")
    bank_reference = PlainString(
        required=True, max_length=64,
        metadata={"description": "The bank's own, or the check's number. The same one again is the same money"},
    )  # fmt: skip

    @validates_schema
    def _one_order(self, data: dict[str, Any], **options: Any) -> None:
        if ("reference" in data) == ("order_id" in data):
            raise ValidationError("Say either reference or order_id.")


class ReviewQuery(PageQuery):
    """Money that had nothing to pay for: for one reason or order, or all of it."""

    reason = fields.String(validate=validate.OneOf(["overpaid", "order_paid", "order_cancelled", "stray_capture"]))
    order_id = PlainString(max_length=64)
    settled = fields.Boolean(truthy={"true"}, falsy={"false"}, metadata={"description": "All of it without"})


class CardAndCode(RequestSchema):
    """A support credit card as it stands in the mail: its number and its claim code."""

    number = PlainString(required=True, max_length=100)
    code = Secret(required=True, max_length=200)


_MOST_CAP = 1_000_000
_TICKET_STATES = ("opening", "open", "waiting_for_customer", "closing", "closed")


class PreflightQuery(RequestSchema):
    """What a ticket would be about, and the credits it would hold."""

    deployment_id = PlainString(required=True, max_length=64)
    cap_credits = QueryInteger(load_default=1, validate=validate.Range(min=1, max=_MOST_CAP))


class ReopenedTicket(RequestSchema):
    """The credits that a ticket may cost: they are held for it, and what is not used comes back."""

    cap_credits = StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST_CAP))


class NewTicket(ReopenedTicket):
    """What is wrong, on which deployment, and the credits that it may cost."""

    deployment_id = PlainString(required=True, max_length=64)
    subject = PlainString(required=True, max_length=200)
    description = Paragraphs(required=True)


class TicketQuery(PageQuery):
    """Tickets in one state, about one deployment, or all."""

    state = fields.String(validate=validate.OneOf(_TICKET_STATES))
    deployment_id = PlainString(max_length=64)


class QueueQuery(TicketQuery):
    """Tickets of one organisation, in one state, about one deployment; without a state, those that are open."""

    organization_id = PlainString(max_length=64)


class NewComment(RequestSchema):
    """Something to say about a ticket."""

    text = Paragraphs(required=True)
    internal = StrictBoolean(load_default=False, metadata={"description": "For support only"})


class NewTime(RequestSchema):
    """Minutes that were worked, or the entry that is taken back."""

    minutes = StrictInteger(validate=validate.Range(min=1, max=24 * 60))
    reverses = PlainString(max_length=64, metadata={"description": "The id of an entry of this ticket"})
    worked_on = fields.Date(format="iso", metadata={"description": "Today (UTC) unless told"})
    note = PlainString(required=True, max_length=400)

    @validates_schema
    def _one_choice(self, data: dict[str, Any], **options: Any) -> None:
        if ("minutes" in data) == ("reverses" in data):
            raise ValidationError("Say either minutes or reverses.")


class OverrunAnswer(RequestSchema):
    """Yes or no to more credits."""

    approve = StrictBoolean(required=True)
    expected_credits = StrictInteger(
        allow_none=True, validate=validate.Range(min=1, max=10**9),
        metadata={"description": "What you were asked for; if it is more by now, nothing happens"},
    )  # fmt: skip


class FoundDefect(RequestSchema):
    """Why the credits of a ticket are given back."""

    reason = PlainString(required=True, max_length=400)
