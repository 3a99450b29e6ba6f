"""What comes in and goes out: RPC requests and replies, and the events that payments emits."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.messages import (
    EventType,
    MoneySchema,
    Paragraphs,
    PlainString,
    RequestSchema,
    StrictInteger,
    TolerantSchema,
    UtcDateTime,
)
from kernel.card_numbers import contains_card_number
from payments.domain.invoices import InvoiceState, Kind
from payments.domain.provider import DisputeState
from payments.domain.remittances import METHODS, Reason
from payments.domain.states import RefundState, State
from payments.domain.strays import REASON as STRAY_REASON

#: A thousand million of the largest unit we sell in; keeps a typing error out of a 64-bit column.
MAX_AMOUNT_MINOR = 10**12
#: Why money is on the review list.
_REVIEWED = [*map(str, Reason), STRAY_REASON]


def _no_card_number(value: str) -> None:
    if contains_card_number(value):
        raise ValidationError("This is a card number. Give the card to the payment provider and send its token.")


class AmountSchema(MoneySchema):
    """Money that can be collected: more than nothing."""

    amount_minor = StrictInteger(required=True, validate=validate.Range(min=1, max=MAX_AMOUNT_MINOR))


class PayerSchema(RequestSchema):
    """For whom, and who asked."""

    organization_id = PlainString(required=True, max_length=64)
    user_id = PlainString(required=True, max_length=64)
    email = PlainString(required=True, max_length=320)


class _ForOrder(RequestSchema):
    order_id = PlainString(required=True, max_length=64)
    order_number = PlainString(required=True, max_length=64)
    amount = fields.Nested(AmountSchema, required=True)
    payer = fields.Nested(PayerSchema, required=True)


class Void(_ForOrder):
    """Give up collecting or awaiting an order's amount, unless it is there already."""

    method = fields.String(required=True, validate=validate.OneOf(["card", *METHODS]))


class Collect(_ForOrder):
    """Collect an order's amount, once."""

    method = fields.String(required=True, validate=validate.OneOf(["card"]))
    provider_token = PlainString(load_default=None, allow_none=True, max_length=255, validate=_no_card_number)
    payment_method_id = PlainString(load_default=None, allow_none=True, max_length=64, validate=_no_card_number)
    save = fields.Boolean(load_default=False, truthy={True}, falsy={False})

    @validates_schema
    def _one_card(self, data: dict[str, Any], **_: Any) -> None:
        if (data["provider_token"] is None) == (data["payment_method_id"] is None):
            raise ValidationError("Give either provider_token or payment_method_id.", "provider_token")


class RemitterSchema(PayerSchema):
    """For whom, who asked, and whom to write to."""

    name = fields.String(required=True, validate=validate.Length(max=200))
    language = PlainString(required=True, max_length=20)
    organization = fields.String(required=True, validate=validate.Length(max=200))


class IssueInstructions(RequestSchema):
    """Await an order's amount by wire or check, and tell the payer how to pay."""

    order_id = PlainString(required=True, max_length=64)
    order_number = PlainString(required=True, max_length=21)
    amount = fields.Nested(AmountSchema, required=True)
    method = fields.String(required=True, validate=validate.OneOf(METHODS))
    payer = fields.Nested(RemitterSchema, required=True)


class PayByCard(RequestSchema):
    """Charge a card for an order that awaits a wire or check."""

    order_id = PlainString(required=True, max_length=64)
    attempt_id = PlainString(required=True, max_length=64)
    provider_token = PlainString(required=True, max_length=255, validate=_no_card_number)


class CheckPayment(RequestSchema):
    """Whether an organisation may pay so."""

    organization_id = PlainString(required=True, max_length=64)
    method = fields.String(required=True, validate=validate.OneOf(["card", *METHODS]))
    payment_method_id = PlainString(load_default=None, allow_none=True, max_length=64)


class SavePaymentMethod(RequestSchema):
    """Have the provider keep a card."""

    idempotency_key = fields.String(required=True, validate=validate.Length(min=1, max=255))
    provider_token = PlainString(required=True, max_length=255, validate=_no_card_number)
    save = fields.Boolean(required=True, truthy={True}, falsy={False})
    client_address = PlainString(required=True, max_length=64)


class ListPaymentMethods(RequestSchema):
    """Nothing: those of the caller's organisation."""


class OnePaymentMethod(RequestSchema):
    """A saved card."""

    id = PlainString(required=True, max_length=64)


class ChangePayment(RequestSchema):
    """Give the card up that is under way, and pay in another way."""

    order_id = PlainString(required=True, max_length=64)
    order_number = PlainString(required=True, max_length=21)
    amount = fields.Nested(AmountSchema, required=True)
    method = fields.String(required=True, validate=validate.OneOf(["card", *METHODS]))
    payer = fields.Nested(RemitterSchema, required=True)
    round = StrictInteger(required=True, validate=validate.Range(min=1, max=10**6))
    attempt_id = PlainString(required=True, max_length=64)
    provider_token = PlainString(load_default=None, allow_none=True, max_length=255, validate=_no_card_number)
    payment_method_id = PlainString(load_default=None, allow_none=True, max_length=64)
    save = fields.Boolean(load_default=False, truthy={True}, falsy={False})

    @validates_schema
    def _card_if_by_card(self, data: dict[str, Any], **_: Any) -> None:
        named = sum(data[name] is not None for name in ("provider_token", "payment_method_id"))
        if named != int(data["method"] == "card"):
            raise ValidationError(
                "Give a provider_token or payment_method_id for a card, and only then.", "provider_token"
            )


class RecordReceipt(RequestSchema):
    """Money that has arrived, as the bank's statement or the check says."""

    idempotency_key = fields.String(required=True, validate=validate.Length(min=1, max=255))
    reference = PlainString(max_length=64)
    order_id = PlainString(max_length=64)
    method = fields.String(required=True, validate=validate.OneOf(METHODS))
    amount = fields.Nested(AmountSchema, required=True)
    received_on = fields.Date(required=True, format="iso")
    bank_reference = PlainString(required=True, max_length=64)

    @validates_schema
    def _one_order(self, data: dict[str, Any], **_: Any) -> None:
        if ("reference" in data) == ("order_id" in data):
            raise ValidationError("Give either reference or order_id.", "reference")


class FindOrders(RequestSchema):
    """Orders by what stands on a statement of a bank, a card or the provider; for staff."""

    last4 = fields.String(validate=validate.Regexp(r"[0-9]{4}\Z"))
    provider_id = PlainString(max_length=64)
    reference = PlainString(max_length=64)
    bank_reference = PlainString(max_length=64)

    @validates_schema
    def _something(self, data: dict[str, Any], **options: Any) -> None:
        if not data:
            raise ValidationError("Say what to look for.")


class FoundOrders(TolerantSchema):
    """The orders that fit, newest first; the newest only, if there are very many."""

    order_ids = fields.List(fields.String(), required=True)


class ListReview(RequestSchema):
    """A page of the money that had nothing to pay for, for staff."""

    reason = fields.String(allow_none=True, load_default=None, validate=validate.OneOf(_REVIEWED))
    order_id = PlainString(allow_none=True, load_default=None, max_length=64)
    settled = fields.Boolean(allow_none=True, load_default=None, truthy={True}, falsy={False})
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class GetIntent(RequestSchema):
    """What is known about an order's payment."""

    order_id = PlainString(required=True, max_length=64)


class ReceiveWebhook(RequestSchema):
    """A webhook as it came: the raw body in base 64, and the header that proves it."""

    body = fields.String(required=True, validate=validate.Length(max=100_000))
    signature = fields.String(required=True, validate=validate.Length(max=1_000))


class Nothing(TolerantSchema):
    """An answer without fields."""


class RefundRequest(RequestSchema):
    """Give money back for an order, once for each refund."""

    refund_id = PlainString(required=True, max_length=64)
    order_id = PlainString(required=True, max_length=64)
    amount = fields.Nested(AmountSchema, required=True)
    reason = PlainString(required=True, max_length=400)


class RecordPayout(RequestSchema):
    """Money that was sent by bank for a refund."""

    idempotency_key = fields.String(required=True, validate=validate.Length(min=1, max=255))
    refund_id = PlainString(required=True, max_length=64)
    bank_reference = PlainString(required=True, max_length=64)
    paid_on = fields.Date(required=True, format="iso")


class ListPayouts(RequestSchema):
    """A page of payouts, for staff."""

    state = fields.String(allow_none=True, load_default=None, validate=validate.OneOf(["waiting", "paid"]))
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class SettleSurplus(RequestSchema):
    """Send a surplus back, or use it for another order."""

    idempotency_key = fields.String(required=True, validate=validate.Length(min=1, max=255))
    id = PlainString(required=True, max_length=64)
    order_id = PlainString(allow_none=True, load_default=None, max_length=64)
    bank_reference = PlainString(allow_none=True, load_default=None, max_length=64)
    paid_on = fields.Date(allow_none=True, load_default=None, format="iso")

    @validates_schema
    def _one_way(self, data: dict[str, Any], **_: Any) -> None:
        sent = data["bank_reference"] is not None and data["paid_on"] is not None
        if sent == (data["order_id"] is not None) or (data["bank_reference"] is None) != (data["paid_on"] is None):
            raise ValidationError("Say either order_id, or bank_reference and paid_on.", "order_id")


class ListDisputes(RequestSchema):
    """A page of disputes, for staff."""

    state = fields.String(
        allow_none=True, load_default=None, validate=validate.OneOf([str(state) for state in DisputeState])
    )
    order_id = PlainString(allow_none=True, load_default=None, max_length=64)
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class OneDispute(RequestSchema):
    """Which dispute."""

    id = PlainString(required=True, max_length=64)


class AcceptDispute(OneDispute):
    """Let the payer have the money."""

    idempotency_key = fields.String(required=True, validate=validate.Length(min=1, max=255))


class SendEvidence(AcceptDispute):
    """Say why a disputed charge was right."""

    evidence = Paragraphs(required=True, max_length=4000)


class OrderFactsPage(RequestSchema):
    """A page of all intents, for staff."""

    limit = StrictInteger(load_default=100, validate=validate.Range(min=1, max=500))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class CardSchema(TolerantSchema):
    """What may be known of a card."""

    brand = fields.String(required=True)
    last4 = fields.String(required=True, validate=validate.Regexp(r"[0-9]{4}\Z"))


class DeclineSchema(TolerantSchema):
    """Why not: a stable code, and a sentence a person can act on."""

    code = fields.String(required=True)
    message = fields.String(required=True)


def _moment() -> fields.String:
    """A moment that is RFC 3339 text already: stored answers are replayed as they were."""
    return fields.String(required=True, metadata={"format": "date-time"})


def _day() -> fields.String:
    return fields.String(required=True, metadata={"format": "date"})


class InstructionsSchema(TolerantSchema):
    """How to pay by wire or check."""

    method = fields.String(required=True, validate=validate.OneOf(METHODS))
    #: ISO 11649: RF, two check digits, the order's number.
    reference = fields.String(required=True)
    amount = fields.Nested(MoneySchema, required=True)
    received = fields.Nested(MoneySchema, required=True)
    remaining = fields.Nested(MoneySchema, required=True)
    due_on = _day()
    #: From then on the order is cancelled.
    expires_at = _moment()
    #: 1, and one more with each change of the method.
    issue = StrictInteger(required=True)
    #: What the payer must know, by name: account, beneficiary, bank, bic; or payable_to, address.
    pay_to = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class NextActionSchema(TolerantSchema):
    """What the payer must do before the card is charged (3-D Secure)."""

    type = fields.String(required=True, validate=validate.OneOf(["redirect"]))
    #: Of the payment provider; for the payer's browser.
    url = fields.String(required=True)
    #: From then on the payment has failed.
    expires_at = _moment()


class IntentReply(TolerantSchema):
    """How far collecting has come."""

    intent_id = fields.String(required=True)
    order_id = fields.String(required=True)
    method = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in State]))
    decline = fields.Nested(DeclineSchema, required=True, allow_none=True)
    card = fields.Nested(CardSchema, required=True, allow_none=True)
    #: While a wire or check is awaited.
    instructions = fields.Nested(InstructionsSchema, required=True, allow_none=True)
    #: While the state is `processing` and the provider waits for the payer.
    next_action = fields.Nested(NextActionSchema, allow_none=True, load_default=None)


class PaymentMethodReply(TolerantSchema):
    """A saved card."""

    id = fields.String(required=True)
    brand = fields.String(required=True)
    last4 = fields.String(required=True)
    exp_month = StrictInteger(required=True)
    exp_year = StrictInteger(required=True)
    #: It can be chosen no longer.
    expired = fields.Boolean(required=True)
    default = fields.Boolean(required=True)
    created_at = _moment()


class SavedReply(TolerantSchema):
    """The card that was saved."""

    payment_method = fields.Nested(PaymentMethodReply, required=True)
    replayed = fields.Boolean(required=True)


class PaymentMethodList(TolerantSchema):
    """All of them, the default one first."""

    items = fields.List(fields.Nested(PaymentMethodReply), required=True)
    next = fields.String(required=True, allow_none=True)


class ReceiptSchema(TolerantSchema):
    """Money that has arrived."""

    id = fields.String(required=True)
    order_id = fields.String(required=True)
    order_number = fields.String(required=True)
    method = fields.String(required=True)
    bank_reference = fields.String(required=True)
    amount = fields.Nested(AmountSchema, required=True)
    received_on = _day()
    recorded_by = fields.String(required=True)
    recorded_at = _moment()


class ProgressSchema(TolerantSchema):
    """How far an order is paid with a receipt."""

    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in State]))
    due = fields.Nested(MoneySchema, required=True)
    received = fields.Nested(MoneySchema, required=True)
    #: What is still awaited.
    remaining = fields.Nested(MoneySchema, required=True)
    #: What of this receipt has nothing to pay for, and why.
    surplus = fields.Nested(MoneySchema, required=True)
    reason = fields.String(required=True, allow_none=True, validate=validate.OneOf([str(each) for each in Reason]))


class RecordedReply(TolerantSchema):
    """A receipt, and how far the payment is with it."""

    receipt = fields.Nested(ReceiptSchema, required=True)
    payment = fields.Nested(ProgressSchema, required=True)
    replayed = fields.Boolean(required=True)


class StrayChargeSchema(TolerantSchema):
    """A charge of the provider's for an attempt that had ended without money; it is given back by itself."""

    order_id = fields.String(required=True)
    order_number = fields.String(required=True)
    provider_charge_id = fields.String(required=True)
    #: `returning`, `returned`, or `refused` by the provider: then a person must see to it.
    state = fields.String(required=True, validate=validate.OneOf(["returning", "returned", "refused"]))


class Surplus(TolerantSchema):
    """Money that has nothing to pay for: from a receipt, or from a stray charge."""

    id = fields.String(required=True)
    reason = fields.String(required=True, validate=validate.OneOf(_REVIEWED))
    amount = fields.Nested(AmountSchema, required=True)
    noted_at = _moment()
    organization_id = fields.String(required=True)
    #: `returned` or `used`; null until it is settled.
    settlement = fields.String(required=True, allow_none=True)
    receipt = fields.Nested(ReceiptSchema, required=True, allow_none=True)
    charge = fields.Nested(StrayChargeSchema, load_default=None, allow_none=True)


class ReviewList(TolerantSchema):
    """A page of it, newest first."""

    items = fields.List(fields.Nested(Surplus), required=True)
    next = fields.String(required=True, allow_none=True)


class PayoutSchema(TolerantSchema):
    """Money that staff send, or have sent, by bank."""

    id = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(["refund", "surplus"]))
    order_id = fields.String(required=True)
    order_number = fields.String(required=True)
    organization_id = fields.String(required=True)
    amount = fields.Nested(AmountSchema, required=True)
    reason = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["waiting", "paid"]))
    bank_reference = fields.String(required=True, allow_none=True)
    paid_on = fields.String(required=True, allow_none=True, metadata={"format": "date"})
    recorded_by = fields.String(required=True, allow_none=True)
    recorded_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class PaidOutReply(TolerantSchema):
    """The payout that was recorded."""

    payout = fields.Nested(PayoutSchema, required=True)
    replayed = fields.Boolean(required=True)


class PayoutList(TolerantSchema):
    """A page of payouts, newest first."""

    items = fields.List(fields.Nested(PayoutSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class SettledReply(TolerantSchema):
    """What became of a surplus, and how far the order that it was used for is paid with it."""

    surplus_id = fields.String(required=True)
    settlement = fields.String(required=True, validate=validate.OneOf(["returned", "used"]))
    order_id = fields.String(required=True, allow_none=True)
    payment = fields.Nested(ProgressSchema, required=True, allow_none=True)
    replayed = fields.Boolean(required=True)


class RefundReply(TolerantSchema):
    """How far giving back has come."""

    refund_id = fields.String(required=True)
    order_id = fields.String(required=True)
    #: `awaiting_payout`: it came by wire or check, and staff must send it.
    state = fields.String(
        required=True, validate=validate.OneOf([*(str(state) for state in RefundState), "awaiting_payout"])
    )
    amount = fields.Nested(AmountSchema, required=True)
    failure_code = fields.String(required=True, allow_none=True)


class OrderFact(TolerantSchema):
    """What was collected for an order."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    method = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in State]))
    amount = fields.Nested(AmountSchema, required=True)
    #: How many attempts took the money, or receipts completed it: one if the state is captured, else none.
    captures = StrictInteger(required=True)
    #: The sum of its receipts, and what of it has nothing to pay for.
    received = fields.Nested(MoneySchema, required=True)
    surplus = fields.Nested(MoneySchema, required=True)
    #: What was given back, in minor units of the same currency.
    refunded_minor = StrictInteger(required=True)
    #: Of its newest dispute; null if there is none.
    dispute = fields.String(
        allow_none=True, load_default=None, validate=validate.OneOf([str(state) for state in DisputeState])
    )
    #: Charges of the provider's for attempts that were over; how many of them were given back, and their sum.
    strays = StrictInteger(load_default=0)
    strays_returned = StrictInteger(load_default=0)
    strays_returned_minor = StrictInteger(load_default=0)


class DisputeSchema(TolerantSchema):
    """A charge that the payer's bank takes back."""

    id = fields.String(required=True)
    order_id = fields.String(required=True)
    #: These two are null while the charge is not known here.
    order_number = fields.String(required=True, allow_none=True)
    organization_id = fields.String(required=True, allow_none=True)
    amount = fields.Nested(MoneySchema, required=True)
    reason = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in DisputeState]))
    opened_at = _moment()
    #: Until then the card network listens to us.
    evidence_due_at = _moment()
    evidence = fields.String(required=True, allow_none=True)
    evidence_sent_at = fields.String(required=True, allow_none=True)
    accepted_at = fields.String(required=True, allow_none=True)
    closed_at = fields.String(required=True, allow_none=True)
    provider_dispute_id = fields.String(required=True)
    provider_charge_id = fields.String(required=True)


class DisputeList(TolerantSchema):
    """A page of disputes, newest first."""

    items = fields.List(fields.Nested(DisputeSchema), required=True)
    next = fields.String(required=True, allow_none=True)


class DisputeAnswered(TolerantSchema):
    """The provider has what we said."""

    dispute = fields.Nested(DisputeSchema, required=True)
    replayed = fields.Boolean(required=True)


class OrderFacts(TolerantSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(OrderFact), required=True)
    next = fields.String(required=True, allow_none=True)


class PaymentCaptured(TolerantSchema):
    """The money for an order is taken, by card; or has arrived, by wire or check: all of it."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    method = fields.String(required=True)
    amount = fields.Nested(AmountSchema, required=True)
    card = fields.Nested(CardSchema, required=True, allow_none=True)
    provider_charge_id = fields.String(required=True, allow_none=True)
    captured_at = UtcDateTime(required=True)


class PaymentFailed(TolerantSchema):
    """The money for an order was not taken, and with this intent it never will be."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    decline = fields.Nested(DeclineSchema, required=True)


class PaymentVoided(TolerantSchema):
    """Nothing was taken for an order, and nothing will be: it was given up."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)


class _OrganizationSchema(TolerantSchema):
    id = fields.String(required=True)
    name = fields.String(required=True)


class _BuyerSchema(TolerantSchema):
    user_id = fields.String(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    language = fields.String(required=True)


class InstructionsIssued(TolerantSchema):
    """A wire or check is awaited for an order: this is how to pay. Again with each change of the method."""

    intent_id = fields.String(required=True)
    order_id = fields.String(required=True)
    order_number = fields.String(required=True)
    organization = fields.Nested(_OrganizationSchema, required=True)
    buyer = fields.Nested(_BuyerSchema, required=True)
    instructions = fields.Nested(InstructionsSchema, required=True)


class ReminderIssued(InstructionsIssued):
    """The money has not come yet."""

    #: 1 for the first.
    reminder = StrictInteger(required=True)


class ReceiptRecorded(InstructionsIssued):
    """Money has arrived for an order; `payments.captured.v1` says when it is all there."""

    receipt = fields.Nested(ReceiptSchema, required=True)
    payment = fields.Nested(ProgressSchema, required=True)


class _DisputeNews(TolerantSchema):
    """A card charge that the payer's bank takes back, for now or for good."""

    dispute_id = fields.String(required=True)
    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    #: What is disputed, of what was captured.
    amount = fields.Nested(AmountSchema, required=True)
    captured = fields.Nested(AmountSchema, required=True)


class DisputeOpened(_DisputeNews):
    """``payments.dispute_opened.v1``: until it is closed, nobody knows whose the money is."""

    reason = fields.String(required=True)
    opened_at = UtcDateTime(required=True)


class DisputeClosed(_DisputeNews):
    """``payments.dispute_closed.v1``: won, the money stays ours; lost, it is the payer's again."""

    outcome = fields.String(required=True, validate=validate.OneOf(["won", "lost"]))
    closed_at = UtcDateTime(required=True)


class PaymentRefunded(TolerantSchema):
    """Money for an order was given back."""

    refund_id = fields.String(required=True)
    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    amount = fields.Nested(AmountSchema, required=True)
    provider_refund_id = fields.String(required=True)
    refunded_at = UtcDateTime(required=True)


class InvoicePaid(TolerantSchema):
    """An order is paid, and this is its invoice."""

    order_id = fields.String(required=True)
    invoice_number = fields.String(required=True)


class RefundFailed(TolerantSchema):
    """The provider will not give the money back by this refund: a person must find another way."""

    refund_id = fields.String(required=True)
    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    failure_code = fields.String(required=True)


# --- invoices ---


class GetInvoice(RequestSchema):
    """The invoice of an order."""

    order_id = PlainString(required=True, max_length=64)


class ListInvoices(RequestSchema):
    """A page of the invoices and credit notes that fit everything said."""

    kind = fields.String(validate=validate.OneOf([str(kind) for kind in Kind]))
    state = fields.String(validate=validate.OneOf([str(state) for state in InvoiceState]))
    number = PlainString(max_length=32)
    order_id = PlainString(max_length=64)
    purchase_order_number = PlainString(max_length=64)
    #: Issued from this moment on, and before that one.
    since = UtcDateTime()
    until = UtcDateTime()
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(validate=validate.Length(max=200))


class SearchInvoices(ListInvoices):
    """The same of any organisation; for staff."""

    issuer = PlainString(max_length=40)
    organization_id = PlainString(max_length=64)


class GetIssuer(RequestSchema):
    """Nothing to say."""


class IssuerReply(TolerantSchema):
    """Who sells, as documents say it; the lines of the address are joined by line breaks."""

    name = fields.String(required=True)
    address = fields.String(required=True)
    tax_number = fields.String(required=True)


class InvoicedOrder(TolerantSchema):
    """What an invoice is for."""

    id = fields.String(required=True)
    number = fields.String(required=True)


class InvoicedOrganization(TolerantSchema):
    """Whom an invoice is for."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class InvoicedBuyer(TolerantSchema):
    """Who ordered."""

    name = fields.String(required=True)
    email = fields.String(required=True)


class InvoicedLine(TolerantSchema):
    """A line of an order, as an invoice says it."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    quantity = StrictInteger(required=True)
    unit_price = fields.Nested(MoneySchema, required=True)
    total = fields.Nested(MoneySchema, required=True)
    tax = fields.Nested(MoneySchema, allow_none=True, load_default=None)
    deployment_id = fields.String(allow_none=True, load_default=None)


class InvoiceTotals(TolerantSchema):
    """The sums."""

    subtotal = fields.Nested(MoneySchema, required=True)
    tax = fields.Nested(MoneySchema, required=True)
    total = fields.Nested(MoneySchema, required=True)


class InvoiceTax(TolerantSchema):
    """What was charged on top."""

    name = fields.String(required=True)
    rate_percent = fields.String(required=True)
    certificate = fields.String(allow_none=True, load_default=None)


class BillingAddress(TolerantSchema):
    """The billing address as it stood in the address book."""

    name = fields.String(required=True)
    company = fields.String(allow_none=True, load_default=None)
    address = fields.String(required=True)
    address_2 = fields.String(allow_none=True, load_default=None)
    city = fields.String(allow_none=True, load_default=None)
    state = fields.String(allow_none=True, load_default=None)
    zip = fields.String(allow_none=True, load_default=None)
    country = fields.String(required=True)


class InvoicePaymentCard(TolerantSchema):
    """What may be told of a payment card."""

    brand = fields.String(required=True)
    last4 = fields.String(required=True)


class InvoicePayment(TolerantSchema):
    """How an order is paid, or to be paid."""

    method = fields.String(required=True)
    card = fields.Nested(InvoicePaymentCard, allow_none=True, load_default=None)
    reference = fields.String(allow_none=True, load_default=None)
    due_on = fields.String(allow_none=True, load_default=None)


class _InvoicedEvent(TolerantSchema):
    order_id = fields.String(required=True)
    number = fields.String(required=True)
    organization = fields.Nested(InvoicedOrganization, required=True)
    buyer = fields.Nested(InvoicedBuyer, required=True)
    lines = fields.List(fields.Nested(InvoicedLine), required=True)
    totals = fields.Nested(InvoiceTotals, required=True)
    payment = fields.Nested(InvoicePayment, required=True)
    purchase_order_number = fields.String(allow_none=True, load_default=None)
    terms_version = fields.String(required=True)
    billing_address = fields.Nested(BillingAddress, allow_none=True, load_default=None)
    tax = fields.Nested(InvoiceTax, allow_none=True, load_default=None)


class OrderBilled(_InvoicedEvent):
    """``cart.order_billed.v1``"""


class OrderPaid(_InvoicedEvent):
    """``cart.order_paid.v1``"""

    paid_at = UtcDateTime(required=True)


class PaidOrders(TolerantSchema):
    """What cart replies about paid orders."""

    items = fields.List(fields.Nested(OrderPaid), required=True)


class OrderCancelled(TolerantSchema):
    """``cart.order_cancelled.v1``"""

    order_id = fields.String(required=True)
    cancelled_at = UtcDateTime(required=True)


class OrderRefunded(TolerantSchema):
    """``cart.order_refunded.v1``"""

    refund_id = fields.String(required=True)
    order_id = fields.String(required=True)
    amount = fields.Nested(AmountSchema, required=True)


class _Document(TolerantSchema):
    number = fields.String(required=True)
    issued_at = fields.String(required=True)
    issuer = fields.Nested(IssuerReply, required=True)
    order = fields.Nested(InvoicedOrder, required=True)
    organization = fields.Nested(InvoicedOrganization, required=True)
    buyer = fields.Nested(InvoicedBuyer, required=True)
    billing_address = fields.Nested(BillingAddress, required=True, allow_none=True)
    tax = fields.Nested(InvoiceTax, required=True, allow_none=True)
    purchase_order_number = fields.String(required=True, allow_none=True)
    totals = fields.Nested(InvoiceTotals, required=True)


class CreditNoteReply(_Document):
    """What was given back of an invoice."""

    invoice_number = fields.String(required=True)


class InvoiceReply(_Document):
    """An invoice with its credit notes."""

    state = fields.String(required=True, validate=validate.OneOf(["open", "paid", "void"]))
    paid_at = fields.String(required=True, allow_none=True)
    voided_at = fields.String(required=True, allow_none=True)
    lines = fields.List(fields.Nested(InvoicedLine), required=True)
    terms_version = fields.String(required=True)
    payment = fields.Nested(InvoicePayment, required=True)
    #: The day of the supply, where it is not that of the invoice.
    supplied_on = fields.String(required=True, allow_none=True, metadata={"format": "date"})
    credit_notes = fields.List(fields.Nested(CreditNoteReply), required=True)


class DocumentInShort(TolerantSchema):
    """An invoice or credit note as a list shows it."""

    id = fields.String(required=True)
    number = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf([str(kind) for kind in Kind]))
    #: Whose series the number is of.
    issuer = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in InvoiceState]))
    issued_at = _moment()
    paid_at = fields.String(required=True, allow_none=True)
    voided_at = fields.String(required=True, allow_none=True)
    order = fields.Nested(InvoicedOrder, required=True)
    organization = fields.Nested(InvoicedOrganization, required=True)
    purchase_order_number = fields.String(required=True, allow_none=True)
    totals = fields.Nested(InvoiceTotals, required=True)
    #: Of which a credit note is.
    invoice_number = fields.String(required=True, allow_none=True)


class InvoiceList(TolerantSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(DocumentInShort), required=True)
    next = fields.String(required=True, allow_none=True)


_ORDER = "ord_01KB0000000000000000000000"
_INTENT = "pay_01KB0000000000000000000001"
_CARD = {"brand": "visa", "last4": "4242"}
_AMOUNT = {"amount_minor": 12000, "currency": "USD"}
_DECLINE = {
    "code": "insufficient_funds",
    "message": "The card does not have enough funds for this order. Use another card.",
}

CAPTURED = EventType(
    "payments.captured.v1",
    PaymentCaptured(),
    {
        "order_id": _ORDER,
        "intent_id": _INTENT,
        "method": "card",
        "amount": _AMOUNT,
        "card": _CARD,
        "provider_charge_id": "ch_0123456789abcdef0123456789abcdef",
        "captured_at": "2026-11-22T12:00:00.000Z",
    },
)
FAILED = EventType(
    "payments.failed.v1", PaymentFailed(), {"order_id": _ORDER, "intent_id": _INTENT, "decline": _DECLINE}
)

VOIDED = EventType("payments.voided.v1", PaymentVoided(), {"order_id": _ORDER, "intent_id": _INTENT})


_REFUND = "rfd_01KB0000000000000000000002"
REFUNDED = EventType(
    "payments.refunded.v1",
    PaymentRefunded(),
    {
        "refund_id": _REFUND,
        "order_id": _ORDER,
        "intent_id": _INTENT,
        "amount": _AMOUNT,
        "provider_refund_id": "re_0123456789abcdef0123456789abcdef",
        "refunded_at": "2026-11-24T12:00:00.000Z",
    },
)
REFUND_FAILED = EventType(
    "payments.refund_failed.v1",
    RefundFailed(),
    {"refund_id": _REFUND, "order_id": _ORDER, "intent_id": _INTENT, "failure_code": "charge_disputed"},
)


_DISPUTED: dict[str, Any] = {
    "dispute_id": "dsp_01KB0000000000000000000008", "order_id": _ORDER, "intent_id": _INTENT, "amount": _AMOUNT,
    "captured": _AMOUNT,
}  # fmt: skip
DISPUTE_OPENED = EventType(
    "payments.dispute_opened.v1",
    DisputeOpened(),
    {**_DISPUTED, "reason": "not_recognized", "opened_at": "2026-11-25T12:00:00.000Z"},
)
DISPUTE_CLOSED = EventType(
    "payments.dispute_closed.v1",
    DisputeClosed(),
    {**_DISPUTED, "outcome": "lost", "closed_at": "2026-12-20T12:00:00.000Z"},
)
INVOICE_PAID = EventType(
    "payments.invoice_paid.v1",
    InvoicePaid(),
    # the order that cart's example of a paid one is about: the preview of the receipt is made from both
    {"order_id": "ord_01JDB0000000000000000000A0", "invoice_number": "INV-000001"},
)


def _usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


_INSTRUCTIONS: dict[str, Any] = {
    "method": "wire",
    "reference": "RF84PC2026000123",
    "amount": _AMOUNT,
    "received": _usd(0),
    "remaining": _AMOUNT,
    "due_on": "2026-12-06",
    "expires_at": "2026-12-22T12:00:00.000Z",
    "issue": 1,
    "pay_to": {
        "account": "DE89 3704 0044 0532 0130 00",
        "beneficiary": "Punchcard Support",
        "bank": "First Example Bank",
        "bic": "EXMPDEFFXXX",
    },
}
_TOLD: dict[str, Any] = {
    "intent_id": _INTENT,
    "order_id": _ORDER,
    "order_number": "PC-2026-000123",
    "organization": {"id": "org_acme", "name": "Acme"},
    "buyer": {"user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
    "instructions": _INSTRUCTIONS,
}
_RECEIPT: dict[str, Any] = {
    "id": "rct_01KB0000000000000000000002",
    "order_id": _ORDER,
    "order_number": "PC-2026-000123",
    "method": "wire",
    "bank_reference": "2026-11-30/0017",
    "amount": _usd(7000),
    "received_on": "2026-11-30",
    "recorded_by": "usr_fay",
    "recorded_at": "2026-11-30T09:30:00.000Z",
}
_PROGRESS: dict[str, Any] = {
    "state": "requires_action",
    "due": _AMOUNT,
    "received": _usd(7000),
    "remaining": _usd(5000),
    "surplus": _usd(0),
    "reason": None,
}

INSTRUCTIONS_ISSUED = EventType("payments.instructions_issued.v1", InstructionsIssued(), _TOLD)
REMINDER_ISSUED = EventType("payments.reminder_issued.v1", ReminderIssued(), {**_TOLD, "reminder": 1})
RECEIPT_RECORDED = EventType(
    "payments.receipt_recorded.v1",
    ReceiptRecorded(),
    {
        **_TOLD,
        "instructions": {**_INSTRUCTIONS, "received": _usd(7000), "remaining": _usd(5000)},
        "receipt": _RECEIPT,
        "payment": _PROGRESS,
    },
)

EVENTS: tuple[EventType, ...] = (
    CAPTURED, FAILED, VOIDED, INSTRUCTIONS_ISSUED, REMINDER_ISSUED, RECEIPT_RECORDED, REFUNDED, REFUND_FAILED,
    INVOICE_PAID,
    DISPUTE_OPENED, DISPUTE_CLOSED,
)  # fmt: skip

_REPLY = {
    "intent_id": _INTENT, "order_id": _ORDER, "method": "card", "state": "captured", "decline": None, "card": _CARD,
    "instructions": None, "next_action": None,
}  # fmt: skip
_AWAITS = {**_REPLY, "method": "wire", "state": "requires_action", "card": None, "instructions": _INSTRUCTIONS}

_FOR_ORDER = {
    "order_id": _ORDER,
    "order_number": "O-1001",
    "amount": _AMOUNT,
    "method": "card",
    "payer": {"organization_id": "org_acme", "user_id": "usr_ada", "email": "ada@acme.example"},
}
_PAYOUT = {
    "id": _REFUND, "kind": "refund", "order_id": _ORDER, "order_number": "PC-2026-000123",
    "organization_id": "org_acme", "amount": _AMOUNT, "reason": "Bought twice by mistake", "state": "paid",
    "bank_reference": "OUT-0017", "paid_on": "2026-12-01", "recorded_by": "usr_fay",
    "recorded_at": "2026-12-01T09:30:00.000Z",
}  # fmt: skip
_METHOD = {
    "id": "pm_01KB0000000000000000000006", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030,
    "expired": False, "default": True, "created_at": "2026-11-22T12:00:00.000Z",
}  # fmt: skip

_USD_0 = {"amount_minor": 0, "currency": "USD"}
_DOCUMENT: dict[str, Any] = {
    "issued_at": "2026-11-22T12:00:01.000Z",
    "issuer": {"name": "Punchcard", "address": "1 Store Street\nLondon", "tax_number": "GB 123"},
    "order": {"id": _ORDER, "number": "PC-2026-000123"},
    "organization": {"id": "org_acme", "name": "Acme"},
    "buyer": {"name": "Ada Buyer", "email": "ada@acme.example"},
    "billing_address": {
        "name": "Ada Buyer", "company": "Acme", "address": "1 Main Street", "address_2": None, "city": "New York",
        "state": "NY", "zip": "10001", "country": "US",
    },
    "tax": {"name": "Sales tax", "rate_percent": "0", "certificate": "ST-119-4711"},
    "purchase_order_number": "PO-77",
    "totals": {"subtotal": _AMOUNT, "tax": _USD_0, "total": _AMOUNT},
}  # fmt: skip
_INVOICE: dict[str, Any] = {
    **_DOCUMENT,
    "number": "INV-000001",
    "state": "paid",
    "paid_at": "2026-11-22T12:00:00.000Z",
    "voided_at": None,
    "lines": [
        {
            "sku": "HOURLY-120", "name": "Hourly support, 120 credits", "quantity": 1, "unit_price": _AMOUNT,
            "total": _AMOUNT, "tax": _USD_0, "deployment_id": None,
        }
    ],
    "terms_version": "2026-11",
    "payment": {"method": "card", "card": _CARD, "reference": None, "due_on": None},
    "supplied_on": None,
    "credit_notes": [{**_DOCUMENT, "number": "CN-000001", "invoice_number": "INV-000001"}],
}  # fmt: skip

_IN_SHORT = {
    "id": "inv_01KB0000000000000000000007",
    "kind": "invoice",
    "issuer": "store",
    "invoice_number": None,
    **{
        name: _INVOICE[name]
        for name in (
            "number",
            "state",
            "issued_at",
            "paid_at",
            "voided_at",
            "order",
            "organization",
            "purchase_order_number",
            "totals",
        )
    },
}
_WANTED_INVOICES = {
    "kind": "invoice", "state": "paid", "number": "INV-000001", "order_id": _ORDER, "purchase_order_number": "PO-77",
    "since": "2026-11-01T00:00:00.000Z", "until": "2026-12-01T00:00:00.000Z", "limit": 20, "cursor": "c",
}  # fmt: skip

_EVIDENCE = "The buyer signed in, and claimed the card on the same day."
_DISPUTE: dict[str, Any] = {
    **{name: _DISPUTED[name] for name in ("order_id", "amount")},
    "id": _DISPUTED["dispute_id"], "order_number": "PC-2026-000123", "organization_id": "org_acme",
    "reason": "not_recognized", "state": "open", "opened_at": "2026-11-25T12:00:00.000Z",
    "evidence_due_at": "2026-12-09T12:00:00.000Z", "evidence": None, "evidence_sent_at": None, "accepted_at": None,
    "closed_at": None, "provider_dispute_id": "dp_0123456789abcdef0123456789abcdef",
    "provider_charge_id": "ch_0123456789abcdef0123456789abcdef",
}  # fmt: skip

RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "get_invoice": {"request": {"order_id": _ORDER}, "reply": _INVOICE},
    "list_invoices": {"request": _WANTED_INVOICES, "reply": {"items": [_IN_SHORT], "next": None}},
    "search_invoices": {
        "request": {**_WANTED_INVOICES, "issuer": "store", "organization_id": "org_acme"},
        "reply": {"items": [_IN_SHORT], "next": None},
    },
    "get_issuer": {"request": {}, "reply": _DOCUMENT["issuer"]},
    "collect": {
        "request": {**_FOR_ORDER, "provider_token": "tok_test_success", "payment_method_id": None, "save": False},
        "reply": _REPLY,
    },
    "void": {"request": _FOR_ORDER, "reply": {**_REPLY, "state": "voided", "card": None}},
    "receive_webhook": {
        "request": {"body": "eyJpZCI6ICJldnRfMSJ9", "signature": "t=1795348800,v1=0f3c"},
        "reply": {},
    },
    "issue_instructions": {
        "request": {
            "order_id": _ORDER,
            "order_number": "PC-2026-000123",
            "amount": _AMOUNT,
            "method": "wire",
            "payer": {
                "organization_id": "org_acme",
                "user_id": "usr_ada",
                "email": "ada@acme.example",
                "name": "Ada Buyer",
                "language": "en",
                "organization": "Acme",
            },
        },
        "reply": _AWAITS,
    },
    "pay_by_card": {
        "request": {
            "order_id": _ORDER,
            "attempt_id": "att_01KB0000000000000000000003",
            "provider_token": "tok_test_declined",
        },
        "reply": {**_AWAITS, "decline": _DECLINE},
    },
    "check_payment": {
        "request": {"organization_id": "org_acme", "method": "card", "payment_method_id": _METHOD["id"]},
        "reply": {},
    },
    "save_payment_method": {
        "request": {
            "idempotency_key": "1f0e3dad-9990-4f1c-8b0a-2f7d7b0f6a10",
            "provider_token": "tok_test_success",
            "save": True,
            "client_address": "192.0.2.7",
        },
        "reply": {"payment_method": _METHOD, "replayed": False},
    },
    "list_payment_methods": {"request": {}, "reply": {"items": [_METHOD], "next": None}},
    "set_default_payment_method": {"request": {"id": _METHOD["id"]}, "reply": _METHOD},
    "remove_payment_method": {"request": {"id": _METHOD["id"]}, "reply": {}},
    "change_payment": {
        "request": {
            "order_id": _ORDER,
            "order_number": "PC-2026-000123",
            "amount": _AMOUNT,
            "method": "card",
            "payer": {
                "organization_id": "org_acme",
                "user_id": "usr_ada",
                "email": "ada@acme.example",
                "name": "Ada Buyer",
                "language": "en",
                "organization": "Acme",
            },
            "round": 1,
            "attempt_id": "att_01KB0000000000000000000005",
            "provider_token": "tok_test_3ds",
            "save": True,
        },
        "reply": {
            **_REPLY,
            "state": "processing",
            "card": None,
            "next_action": {
                "type": "redirect",
                "url": "https://provider.example/challenges/chl_0123456789abcdef0123456789abcdef",
                "expires_at": "2026-11-22T12:15:00.000Z",
            },
        },
    },
    "record_receipt": {
        "request": {
            "idempotency_key": "8f14e45f-ea5d-4c3a-9c56-2f7d7b0f6a10",
            "reference": "RF84 PC20 2600 0123",
            "method": "wire",
            "amount": _usd(7000),
            "received_on": "2026-11-30",
            "bank_reference": "2026-11-30/0017",
        },
        "reply": {"receipt": _RECEIPT, "payment": _PROGRESS, "replayed": False},
    },
    "find_orders": {
        "request": {
            "last4": "4242",
            "provider_id": "ch_1",
            "reference": "RF84PC2026000123",
            "bank_reference": "B-2026-77",
        },
        "reply": {"order_ids": ["ord_01KAMR3Z5T8XQ0V7M2N4P6R8S0"]},
    },
    "list_review": {
        "request": {"reason": "order_cancelled", "order_id": _ORDER, "settled": False, "limit": 20, "cursor": None},
        "reply": {
            "items": [
                {
                    "id": "srp_01KB0000000000000000000004",
                    "reason": "order_cancelled",
                    "amount": _usd(7000),
                    "noted_at": "2026-12-22T12:00:00.000Z",
                    "organization_id": "org_acme",
                    "settlement": None,
                    "receipt": _RECEIPT,
                }
            ],
            "next": None,
        },
    },
    "get_intent": {
        "request": {"order_id": _ORDER},
        "reply": {**_REPLY, "state": "failed", "decline": _DECLINE, "card": None},
    },
    "record_payout": {
        "request": {
            "idempotency_key": "1f0e3dad",
            "refund_id": _REFUND,
            "bank_reference": "OUT-0017",
            "paid_on": "2026-12-01",
        },
        "reply": {"payout": _PAYOUT, "replayed": False},
    },
    "list_payouts": {
        "request": {"state": "paid", "limit": 20, "cursor": None},
        "reply": {"items": [_PAYOUT], "next": None},
    },
    "settle_surplus": {
        "request": {
            "idempotency_key": "1f0e3dae",
            "id": "srp_01KB0000000000000000000004",
            "order_id": _ORDER,
            "bank_reference": None,
            "paid_on": None,
        },
        "reply": {
            "surplus_id": "srp_01KB0000000000000000000004",
            "settlement": "used",
            "order_id": _ORDER,
            "payment": _PROGRESS,
            "replayed": False,
        },
    },
    "refund": {
        "request": {"refund_id": _REFUND, "order_id": _ORDER, "amount": _AMOUNT, "reason": "Bought twice by mistake"},
        "reply": {
            "refund_id": _REFUND,
            "order_id": _ORDER,
            "state": "succeeded",
            "amount": _AMOUNT,
            "failure_code": None,
        },
    },
    "order_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {
            "items": [
                {
                    "order_id": _ORDER,
                    "intent_id": _INTENT,
                    "method": "card",
                    "state": "captured",
                    "amount": _AMOUNT,
                    "captures": 1,
                    "received": _usd(0),
                    "surplus": _usd(0),
                    "refunded_minor": 0,
                    "dispute": "open",
                }
            ],
            "next": None,
        },
    },
    "list_disputes": {
        "request": {"state": "open", "order_id": _ORDER, "limit": 20, "cursor": None},
        "reply": {"items": [_DISPUTE], "next": None},
    },
    "get_dispute": {"request": {"id": _DISPUTE["id"]}, "reply": _DISPUTE},
    "send_evidence": {
        "request": {"id": _DISPUTE["id"], "idempotency_key": "1f0e3daf", "evidence": _EVIDENCE},
        "reply": {
            "dispute": {**_DISPUTE, "evidence": _EVIDENCE, "evidence_sent_at": "2026-11-26T09:00:00.000Z"},
            "replayed": False,
        },
    },
    "accept_dispute": {
        "request": {"id": _DISPUTE["id"], "idempotency_key": "1f0e3db0"},
        "reply": {"dispute": {**_DISPUTE, "accepted_at": "2026-11-26T09:00:00.000Z"}, "replayed": False},
    },
}
