"""What comes in and goes out: RPC requests and replies, the events cart emits, and what it reads of others."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from cart.domain.cart import DESTINATIONS
from cart.domain.order import State
from cart.domain.refund import DECISIONS, RefundState
from chassis.messages import EventType, PlainString, RequestSchema, StrictInteger, TolerantSchema, UtcDateTime, money
from kernel.card_numbers import contains_card_number
from kernel.money import MINOR_DIGITS

#: Far above any product's own limit; keeps a number that no database column holds out of the rules.
_MOST_PIECES = 1_000_000
_METHODS = ("card", "wire", "check", "quote")


def _identifier(**options: Any) -> PlainString:
    return PlainString(max_length=64, **options)


def _moment(**options: Any) -> fields.String:
    """A moment that is RFC 3339 text already: stored answers are replayed as they were."""
    return fields.String(metadata={"format": "date-time"}, **options)


def _no_card_number(value: str) -> None:
    if contains_card_number(value):
        raise ValidationError("This looks like a card number. Card numbers go to the payment provider only.")


def _printable(value: str) -> None:
    if not value.isprintable():
        raise ValidationError("Use printable characters only.")


def _idempotency_key() -> fields.String:
    return fields.String(required=True, validate=[validate.Length(min=1, max=255), _printable])


# --- requests ---


class GetCart(RequestSchema):
    """A user has one cart. With a billing address its tax is shown."""

    billing_address_id = _identifier(allow_none=True, load_default=None)


class _Change(RequestSchema):
    if_match = StrictInteger(allow_none=True, load_default=None)


class AddLine(_Change):
    """Another line."""

    sku = _identifier(required=True)
    quantity = StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST_PIECES))
    deployment_id = _identifier(allow_none=True, load_default=None)
    credit_destination = fields.String(allow_none=True, load_default=None, validate=validate.OneOf(DESTINATIONS))
    #: To buy in; the cart's own if it is left out.
    currency = fields.String(allow_none=True, load_default=None, validate=validate.OneOf(sorted(MINOR_DIGITS)))


class UpdateLine(_Change):
    """Other values for a line. What is left out stays; null takes a choice back."""

    line_id = _identifier(required=True)
    quantity = StrictInteger(validate=validate.Range(min=1, max=_MOST_PIECES))
    deployment_id = _identifier(allow_none=True)
    credit_destination = fields.String(allow_none=True, validate=validate.OneOf(DESTINATIONS))


class RemoveLine(_Change):
    """A line to take out."""

    line_id = _identifier(required=True)


class ApplyDeployment(_Change):
    """Apply to All."""

    deployment_id = _identifier(required=True)


class PaymentWish(RequestSchema):
    """How to pay."""

    method = fields.String(required=True, validate=validate.OneOf(_METHODS))
    payment_method_id = _identifier(allow_none=True, load_default=None)
    provider_token = PlainString(max_length=255, allow_none=True, load_default=None, validate=_no_card_number)
    #: Left out, it is left out of the request's hash, too: those who ask again may be older than this field.
    save = fields.Boolean(truthy={True}, falsy={False})


class PurchaseOrder(RequestSchema):
    """The buyer's own reference."""

    number = PlainString(max_length=64, required=True, validate=_no_card_number)


class PlaceOrder(RequestSchema):
    """Process Order."""

    idempotency_key = _idempotency_key()
    payment = fields.Nested(PaymentWish, required=True)
    billing_address_id = _identifier(allow_none=True, load_default=None)
    purchase_order = fields.Nested(PurchaseOrder, allow_none=True, load_default=None)
    accept_terms = PlainString(max_length=40, allow_none=True, load_default=None)
    expected_total = money(allow_none=True, load_default=None)
    client_address = PlainString(max_length=64, required=True)


class CancelOrder(RequestSchema):
    """Cancel an unpaid order."""

    idempotency_key = _idempotency_key()
    id = _identifier(required=True)


class ChangePayment(RequestSchema):
    """Another way to pay for an order that awaits payment."""

    id = _identifier(required=True)
    idempotency_key = fields.String(required=True, validate=[validate.Length(min=1, max=255), _printable])
    payment = fields.Nested(PaymentWish, required=True)


class ConvertQuote(ChangePayment):
    """Make an order of a quote."""


class GetOrder(RequestSchema):
    """One order."""

    id = _identifier(required=True)


class ListOrders(RequestSchema):
    """A page of orders."""

    state = fields.String(allow_none=True, load_default=None, validate=validate.OneOf([str(state) for state in State]))
    kind = fields.String(allow_none=True, load_default=None, validate=validate.OneOf(["order", "quote"]))
    purchase_order = PlainString(max_length=64, allow_none=True, load_default=None)
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class SearchOrders(RequestSchema):
    """Orders and quotes of any organisation that fit everything said; for staff."""

    ids = fields.List(_identifier(), validate=validate.Length(max=1000))
    number = PlainString(max_length=32)
    buyer_email = PlainString(max_length=320)
    organization_id = PlainString(max_length=64)
    purchase_order_number = PlainString(max_length=64)
    state = fields.String(validate=validate.OneOf([str(state) for state in State]))
    kind = fields.String(validate=validate.OneOf(["order", "quote"]))
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(validate=validate.Length(max=200))


class RefundedLine(RequestSchema):
    """Pieces of a line that are given back."""

    line_id = _identifier(required=True)
    quantity = StrictInteger(required=True, validate=validate.Range(min=1, max=_MOST_PIECES))


class RefundOrder(RequestSchema):
    """Give money of an order back; for staff."""

    idempotency_key = fields.String(required=True, validate=[validate.Length(min=1, max=255), _printable])
    order_id = _identifier(required=True)
    reason = PlainString(max_length=400, required=True, validate=_no_card_number)
    claimed = fields.String(load_default="refuse", validate=validate.OneOf(DECISIONS))
    #: Pieces of these lines; or this much money, and nothing taken back; or, without both, all that is left.
    lines = fields.List(
        fields.Nested(RefundedLine), allow_none=True, load_default=None, validate=validate.Length(min=1, max=100)
    )
    amount = money(allow_none=True, load_default=None)

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        if data["lines"] is not None and data["amount"] is not None:
            raise ValidationError("Say either lines or amount.", "amount")
        named = [line["line_id"] for line in data["lines"] or ()]
        if len(set(named)) != len(named):
            raise ValidationError("Name each line once.", "lines")


class DecideRefund(RequestSchema):
    """Agree to a refund that waits for a second person, or do not."""

    idempotency_key = _idempotency_key()
    id = _identifier(required=True)
    approve = fields.Boolean(required=True, truthy={True}, falsy={False})
    reason = PlainString(max_length=400, allow_none=True, load_default=None, validate=_no_card_number)


class FindRefund(RequestSchema):
    """A refund; for staff."""

    id = _identifier(required=True)


class ListRefunds(RequestSchema):
    """A page of refunds; for staff."""

    state = fields.String(
        allow_none=True, load_default=None, validate=validate.OneOf([str(state) for state in RefundState])
    )
    order_id = _identifier(allow_none=True, load_default=None)
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


class GetRefund(RequestSchema):
    """The refund of an order; for staff."""

    order_id = _identifier(required=True)


class OrderFactsPage(RequestSchema):
    """A page of all orders, for staff."""

    limit = StrictInteger(load_default=100, validate=validate.Range(min=1, max=500))
    cursor = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=200))


# --- replies ---


class Totals(RequestSchema):
    """The sums of a cart or an order."""

    subtotal = money(required=True)
    tax = money(required=True)
    total = money(required=True)


class TaxReply(RequestSchema):
    """What an order is taxed with. With a certificate of exemption the rate is 0."""

    name = fields.String(required=True)
    rate_percent = fields.String(required=True)
    certificate = fields.String(required=True, allow_none=True)


class AddressReply(RequestSchema):
    """A billing address as it stood in the address book."""

    name = fields.String(required=True)
    company = fields.String(required=True, allow_none=True)
    address = fields.String(required=True)
    address_2 = fields.String(required=True, allow_none=True)
    city = fields.String(required=True, allow_none=True)
    state = fields.String(required=True, allow_none=True)
    zip = fields.String(required=True, allow_none=True)
    country = fields.String(required=True)


class CartLineReply(RequestSchema):
    """A line of the cart."""

    id = fields.String(required=True)
    sku = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    quantity = StrictInteger(required=True)
    unit_price = money(required=True)
    total = money(required=True)
    credits = StrictInteger(required=True)
    needs_deployment = fields.Boolean(required=True)
    deployment_id = fields.String(required=True, allow_none=True)
    credit_destination = fields.String(required=True, allow_none=True)
    tax = money()
    available = fields.Boolean(required=True)
    missing = fields.List(fields.String(), required=True)


class CartReply(RequestSchema):
    """The cart."""

    id = fields.String(required=True)
    version = StrictInteger(required=True)
    currency = fields.String(required=True)
    lines = fields.List(fields.Nested(CartLineReply), required=True)
    totals = fields.Nested(Totals, required=True)
    line_count = StrictInteger(required=True)
    terms_version = fields.String(required=True)
    tax = fields.Nested(TaxReply, allow_none=True)


class SkippedLine(RequestSchema):
    """A line that Apply to All left alone, and why."""

    line_id = fields.String(required=True)
    reason = fields.String(required=True)


class AppliedReply(CartReply):
    """The cart after Apply to All."""

    applied = fields.List(fields.String(), required=True)
    skipped = fields.List(fields.Nested(SkippedLine), required=True)


class Card(TolerantSchema):
    """What may be shown of a payment card."""

    brand = fields.String(required=True)
    last4 = fields.String(required=True)


class OrderLineReply(RequestSchema):
    """A frozen line."""

    id = fields.String(required=True)
    sku = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    quantity = StrictInteger(required=True)
    unit_price = money(required=True)
    total = money(required=True)
    credits = StrictInteger(required=True)
    deployment_id = fields.String(required=True, allow_none=True)
    credit_destination = fields.String(required=True, allow_none=True)
    tax = money()
    fulfilment = fields.String(required=True, validate=validate.OneOf(["pending", "fulfilled"]))


class PaymentReply(RequestSchema):
    """How an order is paid, and how far that is."""

    method = fields.String(required=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf(
            ["requires_action", "processing", "captured", "failed", "refunded", "partially_refunded", "not_due"]
        ),
    )
    card = fields.Nested(Card, required=True, allow_none=True)


class InstructionsReply(RequestSchema):
    """How to pay by wire or check what is left."""

    method = fields.String(required=True)
    reference = fields.String(required=True)
    amount = money(required=True)
    received = money(required=True)
    remaining = money(required=True)
    due_on = fields.String(required=True, metadata={"format": "date"})
    pay_to = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class QuoteReply(RequestSchema):
    """What a quote has and an order has not."""

    last_day = fields.String(required=True, metadata={"format": "date"})
    time_zone = fields.String(required=True)
    #: The order that it became.
    order_id = fields.String(required=True, allow_none=True)


class DisputeReply(RequestSchema):
    """The dispute of an order's payment."""

    state = fields.String(required=True)
    amount = money(required=True)
    #: Null until the opening is known, which may be told after the end.
    reason = fields.String(required=True, allow_none=True)
    opened_at = _moment(required=True, allow_none=True)
    closed_at = _moment(required=True, allow_none=True)


class OrderReply(RequestSchema):
    """An order or a quote."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    number = fields.String(required=True)
    state = fields.String(required=True)
    lines = fields.List(fields.Nested(OrderLineReply), required=True)
    totals = fields.Nested(Totals, required=True)
    payment = fields.Nested(PaymentReply, required=True)
    instructions = fields.Nested(InstructionsReply, required=True, allow_none=True)
    purchase_order = fields.Nested(PurchaseOrder, required=True, allow_none=True)
    terms_version = fields.String(required=True)
    placed_at = _moment(required=True)
    expires_at = _moment(required=True, allow_none=True)
    paid_at = _moment(required=True, allow_none=True)
    fulfilled_at = _moment(required=True, allow_none=True)
    cancel_reason = fields.String(required=True, allow_none=True)
    #: ``{"type": "redirect", "url", "expires_at"}`` while the payer must confirm the payment (3-D Secure).
    next_action = fields.Dict(required=True, allow_none=True)
    quote_id = fields.String(allow_none=True)
    quote = fields.Nested(QuoteReply, allow_none=True)
    billing_address = fields.Nested(AddressReply, allow_none=True)
    tax = fields.Nested(TaxReply, allow_none=True)
    dispute = fields.Nested(DisputeReply, allow_none=True)


class PlacedReply(RequestSchema):
    """The order that was placed (status 201: paid, or awaiting a wire or check), or is being paid (202)."""

    order = fields.Nested(OrderReply, required=True)
    replayed = fields.Boolean(required=True)
    status = StrictInteger(required=True, validate=validate.OneOf([201, 202]))


class CancelledReply(RequestSchema):
    """The order that was cancelled (status 200), or is being cancelled (202)."""

    order = fields.Nested(OrderReply, required=True)
    replayed = fields.Boolean(required=True)
    status = StrictInteger(required=True, validate=validate.OneOf([200, 202]))


class OrderList(RequestSchema):
    """A page of orders."""

    items = fields.List(fields.Nested(OrderReply), required=True)
    next = fields.String(required=True, allow_none=True)


class OrderOwner(RequestSchema):
    """Whose order it is."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class OrderBuyer(RequestSchema):
    """Who placed it."""

    email = fields.String(required=True)
    name = fields.String(required=True)


class OrderInShort(RequestSchema):
    """An order as a search shows it to staff. `problem`: a person must look at it. `dispute`: its state."""

    id = fields.String(required=True)
    number = fields.String(required=True)
    kind = fields.String(required=True)
    state = fields.String(required=True)
    organization = fields.Nested(OrderOwner, required=True)
    buyer = fields.Nested(OrderBuyer, required=True)
    total = money(required=True)
    payment_method = fields.String(required=True)
    card_last4 = fields.String(required=True, allow_none=True)
    purchase_order_number = fields.String(required=True, allow_none=True)
    placed_at = UtcDateTime(required=True)
    paid_at = UtcDateTime(required=True, allow_none=True)
    problem = fields.String(required=True, allow_none=True)
    dispute = fields.String(allow_none=True)


class FoundOrders(RequestSchema):
    """A page of them."""

    items = fields.List(fields.Nested(OrderInShort), required=True)
    next = fields.String(required=True, allow_none=True)


class RefundedCredits(RequestSchema):
    """What became of the credits that a refunded order had brought."""

    taken_back = StrictInteger(required=True)
    #: These stay with whoever has them: on cards that were claimed, and spent from the buyer's own balance.
    claimed = StrictInteger(required=True)
    spent = StrictInteger(required=True)
    #: On cards that nobody had claimed in time.
    expired = StrictInteger(required=True)


class RefundReply(RequestSchema):
    """A refund."""

    id = fields.String(required=True)
    order_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf([str(state) for state in RefundState]))
    amount = money(required=True)
    reason = fields.String(required=True)
    claimed = fields.String(required=True)
    #: Null until credits has taken its side.
    credits = fields.Nested(RefundedCredits, required=True, allow_none=True)
    #: Pieces of which lines; null for the rest of the order, or for money only.
    lines = fields.List(fields.Nested(RefundedLine), required=True, allow_none=True)
    money_only = fields.Boolean(required=True)
    #: What is left of what was paid once this is given back.
    left = money(required=True)
    requested_by = fields.String(required=True)
    #: Whoever agreed or did not, if it needed a second person.
    approved_by = fields.String(required=True, allow_none=True)
    requested_at = _moment(required=True)
    ended_at = _moment(required=True, allow_none=True)
    failure_code = fields.String(required=True, allow_none=True)


class RefundedReply(RequestSchema):
    """The refund that was made (status 201: the money is given back), or is being made (202)."""

    refund = fields.Nested(RefundReply, required=True)
    replayed = fields.Boolean(required=True)
    status = StrictInteger(required=True, validate=validate.OneOf([201, 202]))


class RefundList(RequestSchema):
    """A page of refunds, newest first."""

    items = fields.List(fields.Nested(RefundReply), required=True)
    next = fields.String(required=True, allow_none=True)


class RefundFacts(RequestSchema):
    """A refund of an order that was not in vain."""

    refund_id = fields.String(required=True)
    state = fields.String(required=True)
    amount = money(required=True)
    taken_back = StrictInteger(required=True, allow_none=True)


class LineFacts(RequestSchema):
    """What a line is owed once its order is paid."""

    line_id = fields.String(required=True)
    quantity = StrictInteger(required=True)
    credits = StrictInteger(required=True)
    credit_destination = fields.String(required=True, allow_none=True)
    is_bound = fields.Boolean(required=True)
    handed_over = fields.Boolean(required=True)


class DisputeFacts(RequestSchema):
    """How the dispute of an order's payment stands."""

    dispute_id = fields.String(required=True)
    state = fields.String(required=True)


class OrderFact(RequestSchema):
    """What an order is owed: all of it if `paid_at` is set, else nothing."""

    order_id = fields.String(required=True)
    number = fields.String(required=True)
    state = fields.String(required=True)
    paid_at = _moment(required=True, allow_none=True)
    payment_method = fields.String(required=True)
    total = money(required=True)
    problem = fields.String(required=True, allow_none=True)
    #: The newest one.
    refund = fields.Nested(RefundFacts, required=True, allow_none=True)
    refunds = fields.List(fields.Nested(RefundFacts), required=True)
    dispute = fields.Nested(DisputeFacts, allow_none=True)
    lines = fields.List(fields.Nested(LineFacts), required=True)


class OrderFacts(RequestSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(OrderFact), required=True)
    next = fields.String(required=True, allow_none=True)


# --- what cart emits ---


class _PaidOrganization(RequestSchema):
    id = fields.String(required=True)
    name = fields.String(required=True)


class _PaidBuyer(RequestSchema):
    user_id = fields.String(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    language = fields.String(required=True)


class _PaidLine(RequestSchema):
    id = fields.String(required=True)
    sku = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    quantity = StrictInteger(required=True)
    unit_price = money(required=True)
    total = money(required=True)
    credits = StrictInteger(required=True)
    deployment_id = fields.String(required=True, allow_none=True)
    credit_destination = fields.String(required=True, allow_none=True)
    tax = money()
    #: Of a contract; and how long its credits can be used: 0 for ever, null as the store has it.
    term_months = StrictInteger(allow_none=True)
    credits_valid_days = StrictInteger(allow_none=True)


class _PaidWith(RequestSchema):
    method = fields.String(required=True)
    card = fields.Nested(Card, required=True, allow_none=True)


class OrderPaid(RequestSchema):
    """An order is paid: hand over what was bought."""

    order_id = fields.String(required=True)
    number = fields.String(required=True)
    paid_at = _moment(required=True)
    organization = fields.Nested(_PaidOrganization, required=True)
    buyer = fields.Nested(_PaidBuyer, required=True)
    lines = fields.List(fields.Nested(_PaidLine), required=True)
    totals = fields.Nested(Totals, required=True)
    payment = fields.Nested(_PaidWith, required=True)
    purchase_order_number = fields.String(required=True, allow_none=True)
    terms_version = fields.String(required=True)
    billing_address = fields.Nested(AddressReply, allow_none=True)
    tax = fields.Nested(TaxReply, allow_none=True)


class PaidOrdersAsked(RequestSchema):
    """Orders, to be told again what their events have said; for services on their own, and staff."""

    order_ids = fields.List(_identifier(), required=True, validate=validate.Length(min=1, max=100))


class PaidOrders(RequestSchema):
    """Those of them that are paid."""

    items = fields.List(fields.Nested(OrderPaid), required=True)


class _BilledBy(RequestSchema):
    """How an order is to be paid that awaits its money."""

    method = fields.String(required=True)
    reference = fields.String(required=True)
    due_on = fields.String(required=True, metadata={"format": "date"})


class OrderBilled(RequestSchema):
    """An order awaits a wire or check."""

    order_id = fields.String(required=True)
    number = fields.String(required=True)
    billed_at = _moment(required=True)
    organization = fields.Nested(_PaidOrganization, required=True)
    buyer = fields.Nested(_PaidBuyer, required=True)
    lines = fields.List(fields.Nested(_PaidLine), required=True)
    totals = fields.Nested(Totals, required=True)
    payment = fields.Nested(_BilledBy, required=True)
    purchase_order_number = fields.String(required=True, allow_none=True)
    terms_version = fields.String(required=True)
    billing_address = fields.Nested(AddressReply, required=True, allow_none=True)
    tax = fields.Nested(TaxReply, required=True, allow_none=True)


class OrderCancelled(RequestSchema):
    """An order has ended without payment."""

    order_id = fields.String(required=True)
    number = fields.String(required=True)
    organization = fields.Nested(_PaidOrganization, required=True)
    cancelled_at = _moment(required=True)
    reason = fields.String(required=True)


class QuoteIssued(RequestSchema):
    """A quote was made."""

    order_id = fields.String(required=True)
    number = fields.String(required=True)
    placed_at = _moment(required=True)
    expires_at = _moment(required=True)
    last_day = fields.String(required=True, metadata={"format": "date"})
    time_zone = fields.String(required=True)
    organization = fields.Nested(_PaidOrganization, required=True)
    buyer = fields.Nested(_PaidBuyer, required=True)
    lines = fields.List(fields.Nested(_PaidLine), required=True)
    totals = fields.Nested(Totals, required=True)
    purchase_order_number = fields.String(required=True, allow_none=True)
    terms_version = fields.String(required=True)


class QuoteExpiring(QuoteIssued):
    """An open quote is about to expire."""


class OrderRefunded(RequestSchema):
    """Money of an order was given back: all of it, or a part."""

    refund_id = fields.String(required=True)
    order_id = fields.String(required=True)
    number = fields.String(required=True)
    refunded_at = _moment(required=True)
    organization = fields.Nested(_PaidOrganization, required=True)
    buyer = fields.Nested(_PaidBuyer, required=True)
    amount = money(required=True)
    payment = fields.Nested(_PaidWith, required=True)
    credits = fields.Nested(RefundedCredits, required=True)
    #: What is left of what was paid.
    left = money()
    #: Pieces of which lines; null for the rest of the order, or for money only.
    lines = fields.List(fields.Nested(RefundedLine), allow_none=True)


class _Disputed(RequestSchema):
    dispute_id = fields.String(required=True)
    order_id = fields.String(required=True)
    number = fields.String(required=True)
    organization = fields.Nested(_PaidOrganization, required=True)
    #: What is disputed; the charge may be more.
    amount = money(required=True)


class OrderDisputed(_Disputed):
    """The payer's bank has taken money back, for now, of an order all of whose credits have come."""

    reason = fields.String(required=True)
    opened_at = _moment(required=True)


class OrderDisputeClosed(_Disputed):
    """The network has decided. It may be the first that is told of the dispute."""

    outcome = fields.String(required=True, validate=validate.OneOf(["won", "lost"]))
    #: As many of the order's credits may be taken back if it was lost; null: all that are unspent.
    credits = StrictInteger(required=True, allow_none=True)
    closed_at = _moment(required=True)


def _usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


_TOTALS = {"subtotal": _usd(24000), "tax": _usd(0), "total": _usd(24000)}
_PAID_LINE: dict[str, Any] = {
    "id": "oln_01JDB0000000000000000000A1", "sku": "SUPPORT-120", "name": "120 support credits", "kind": "credit_pack",
    "quantity": 2, "unit_price": _usd(12000), "total": _usd(24000), "credits": 120, "deployment_id": None,
    "credit_destination": "support_card", "tax": _usd(0),
}  # fmt: skip
_SOLD_LINE = {**_PAID_LINE, "term_months": None, "credits_valid_days": 365}
_CARD = {"brand": "visa", "last4": "4242"}

ORDER_PAID = EventType(
    "cart.order_paid.v1",
    OrderPaid(),
    {
        "order_id": "ord_01JDB0000000000000000000A0",
        "number": "PC-2026-000123",
        "paid_at": "2026-11-22T12:00:00.000Z",
        "organization": {"id": "org_acme", "name": "Acme"},
        "buyer": {"user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
        "lines": [_SOLD_LINE],
        "totals": _TOTALS,
        "payment": {"method": "card", "card": _CARD},
        "purchase_order_number": "PO-77",
        "terms_version": "2026-11",
        "billing_address": None,
        "tax": None,
    },
)

_REFUND_ID = "rfd_01JDB0000000000000000000R0"
_REFUNDED_CREDITS = {"taken_back": 240, "claimed": 0, "spent": 0, "expired": 0}
ORDER_REFUNDED = EventType(
    "cart.order_refunded.v1",
    OrderRefunded(),
    {
        "refund_id": _REFUND_ID,
        "order_id": "ord_01JDB0000000000000000000A0",
        "number": "PC-2026-000123",
        "refunded_at": "2026-11-24T12:00:00.000Z",
        "organization": {"id": "org_acme", "name": "Acme"},
        "buyer": {"user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
        "amount": _usd(24000),
        "payment": {"method": "card", "card": _CARD},
        "credits": _REFUNDED_CREDITS,
        "left": _usd(0),
        "lines": None,
    },
)

_DISPUTE: dict[str, Any] = {
    "dispute_id": "dsp_01JDB0000000000000000000D0", "order_id": "ord_01JDB0000000000000000000A0",
    "number": "PC-2026-000123", "organization": {"id": "org_acme", "name": "Acme"}, "amount": _usd(24000),
}  # fmt: skip
ORDER_DISPUTED = EventType(
    "cart.order_disputed.v1",
    OrderDisputed(),
    {**_DISPUTE, "reason": "fraudulent", "opened_at": "2026-11-28T12:00:00.000Z"},
)
ORDER_DISPUTE_CLOSED = EventType(
    "cart.order_dispute_closed.v1",
    OrderDisputeClosed(),
    {**_DISPUTE, "outcome": "lost", "credits": None, "closed_at": "2026-12-20T12:00:00.000Z"},
)

_ADDRESS: dict[str, Any] = {
    "name": "Ada Buyer", "company": "Acme", "address": "1 Main Street", "address_2": None, "city": "New York",
    "state": "NY", "zip": "10001", "country": "US",
}  # fmt: skip
_EXEMPT = {"name": "Sales tax", "rate_percent": "0", "certificate": "ST-119-4711"}

ORDER_BILLED = EventType(
    "cart.order_billed.v1",
    OrderBilled(),
    {
        "order_id": "ord_01JDB0000000000000000000A0",
        "number": "PC-2026-000123",
        "billed_at": "2026-11-22T11:59:59.500Z",
        "organization": {"id": "org_acme", "name": "Acme"},
        "buyer": {"user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
        "lines": [_SOLD_LINE],
        "totals": _TOTALS,
        "payment": {"method": "wire", "reference": "RF84PC2026000123", "due_on": "2026-12-06"},
        "purchase_order_number": "PO-77",
        "terms_version": "2026-11",
        "billing_address": _ADDRESS,
        "tax": _EXEMPT,
    },
)
ORDER_CANCELLED = EventType(
    "cart.order_cancelled.v1",
    OrderCancelled(),
    {
        "order_id": "ord_01JDB0000000000000000000A0",
        "number": "PC-2026-000123",
        "organization": {"id": "org_acme", "name": "Acme"},
        "cancelled_at": "2026-11-22T12:00:00.000Z",
        "reason": "cancelled_on_request",
    },
)

_QUOTED: dict[str, Any] = {
    "order_id": "ord_01JDB0000000000000000000Q0",
    "number": "PQ-2026-000122",
    "placed_at": "2026-11-20T12:00:00.000Z",
    "expires_at": "2026-12-20T23:00:00.000Z",
    "last_day": "2026-12-20",
    "time_zone": "Europe/Berlin",
    "organization": {"id": "org_acme", "name": "Acme"},
    "buyer": {"user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
    "lines": [_PAID_LINE],
    "totals": _TOTALS,
    "purchase_order_number": "PO-77",
    "terms_version": "2026-11",
}
QUOTE_ISSUED = EventType("cart.quote_issued.v1", QuoteIssued(), _QUOTED)
QUOTE_EXPIRING = EventType("cart.quote_expiring.v1", QuoteExpiring(), _QUOTED)

EVENTS = (
    ORDER_BILLED, ORDER_PAID, ORDER_CANCELLED, ORDER_REFUNDED, ORDER_DISPUTED, ORDER_DISPUTE_CLOSED, QUOTE_ISSUED,
    QUOTE_EXPIRING,
)  # fmt: skip


# --- what cart reads of others ---


class PricedProduct(TolerantSchema):
    """A product, of catalog."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    credits = StrictInteger(required=True)
    needs_deployment = fields.Boolean(required=True)
    max_quantity = StrictInteger(required=True)
    unit_price = money(required=True)
    term_months = StrictInteger(load_default=None, allow_none=True)
    credits_valid_days = StrictInteger(load_default=None, allow_none=True)


class TaxRate(TolerantSchema):
    """A tax, of catalog."""

    name = fields.String(required=True)
    rate_ppm = StrictInteger(required=True)


class Prices(TolerantSchema):
    """Reply of ``catalog.price_lines``."""

    items = fields.List(fields.Nested(PricedProduct), required=True)
    terms_version = fields.String(required=True)
    tax = fields.Nested(TaxRate, allow_none=True, load_default=None)


class VisibleDeployment(TolerantSchema):
    """A deployment, of accounts."""

    id = fields.String(required=True)
    state = fields.String(required=True)


class VisibleDeployments(TolerantSchema):
    """Reply of ``accounts.check_deployments``."""

    items = fields.List(fields.Nested(VisibleDeployment), required=True)


class OrganizationFacts(TolerantSchema):
    """What bears on an order's papers, of accounts."""

    time_zone = fields.String(load_default="UTC")
    tax_certificate = fields.String(allow_none=True, load_default=None)


class BillingAddress(TolerantSchema):
    """An address, of accounts."""

    name = fields.String(required=True)
    company = fields.String(allow_none=True, load_default=None)
    address = fields.String(required=True)
    address_2 = fields.String(allow_none=True, load_default=None)
    city = fields.String(allow_none=True, load_default=None)
    state = fields.String(allow_none=True, load_default=None)
    zip = fields.String(allow_none=True, load_default=None)
    country = fields.String(required=True)


class BillingFacts(TolerantSchema):
    """Reply of ``accounts.billing_facts``."""

    address = fields.Nested(BillingAddress, allow_none=True, load_default=None)
    organization = fields.Nested(OrganizationFacts, required=True)


class DeclineSchema(TolerantSchema):
    """Why a payment failed."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class Instructions(TolerantSchema):
    """How to pay by wire or check, of payments."""

    method = fields.String(required=True)
    reference = fields.String(required=True)
    amount = money(required=True)
    received = money(required=True)
    remaining = money(required=True)
    due_on = fields.String(required=True)
    expires_at = _moment(required=True)
    issue = StrictInteger(required=True)
    pay_to = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class NextAction(TolerantSchema):
    """What the payer must do before the card is charged."""

    type = fields.String(required=True)
    url = fields.String(required=True)
    expires_at = _moment(required=True)


class IntentReply(TolerantSchema):
    """Reply of ``payments.collect``, ``issue_instructions``, ``change_payment``, ``void`` and ``get_intent``."""

    intent_id = fields.String(required=True)
    state = fields.String(required=True)
    decline = fields.Nested(DeclineSchema, allow_none=True, load_default=None)
    card = fields.Nested(Card, allow_none=True, load_default=None)
    amount = money(allow_none=True, load_default=None)
    method = fields.String(allow_none=True, load_default=None)
    instructions = fields.Nested(Instructions, allow_none=True, load_default=None)
    next_action = fields.Nested(NextAction, allow_none=True, load_default=None)


class PaymentMayBe(TolerantSchema):
    """Reply of ``payments.check_payment``."""


class PaymentCaptured(TolerantSchema):
    """``payments.captured.v1``."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    amount = money(required=True)
    method = fields.String(allow_none=True, load_default=None)
    card = fields.Nested(Card, allow_none=True, load_default=None)


class PaymentFailed(TolerantSchema):
    """``payments.failed.v1``."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    decline = fields.Nested(DeclineSchema, required=True)


class PaymentVoided(TolerantSchema):
    """``payments.voided.v1``."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)


class InstructionsIssued(TolerantSchema):
    """``payments.instructions_issued.v1``."""

    order_id = fields.String(required=True)
    intent_id = fields.String(required=True)
    instructions = fields.Nested(Instructions, required=True)


class PaymentProgress(TolerantSchema):
    """How much has come for an order."""

    received = money(required=True)


class ReceiptRecorded(TolerantSchema):
    """``payments.receipt_recorded.v1``."""

    order_id = fields.String(required=True)
    payment = fields.Nested(PaymentProgress, required=True)


class MoneyReturned(TolerantSchema):
    """Reply of ``payments.refund``."""

    state = fields.String(required=True)
    failure_code = fields.String(allow_none=True, load_default=None)


class PaymentRefunded(TolerantSchema):
    """``payments.refunded.v1``."""

    refund_id = fields.String(required=True)


class PaymentRefundFailed(TolerantSchema):
    """``payments.refund_failed.v1``."""

    refund_id = fields.String(required=True)
    failure_code = fields.String(required=True, validate=validate.Length(1, 64))


class PaymentDisputed(TolerantSchema):
    """``payments.dispute_opened.v1``."""

    dispute_id = fields.String(required=True, validate=validate.Length(1, 48))
    order_id = fields.String(required=True)
    amount = money(required=True)
    captured = money(required=True)
    reason = fields.String(required=True, validate=validate.Length(1, 64))
    opened_at = UtcDateTime(required=True)


class PaymentDisputeClosed(TolerantSchema):
    """``payments.dispute_closed.v1``."""

    dispute_id = fields.String(required=True, validate=validate.Length(1, 48))
    order_id = fields.String(required=True)
    amount = money(required=True)
    captured = money(required=True)
    outcome = fields.String(required=True, validate=validate.OneOf(["won", "lost"]))
    closed_at = UtcDateTime(required=True)


class CreditsTakenBack(TolerantSchema):
    """Reply of ``credits.take_back_order``."""

    taken_back = StrictInteger(required=True)
    claimed = StrictInteger(required=True)
    spent = StrictInteger(required=True)
    expired = StrictInteger(required=True)


class LinesHandedOver(TolerantSchema):
    """``credits.order_credited.v1`` and ``accounts.order_bound.v1``."""

    order_id = fields.String(required=True)
    line_ids = fields.List(fields.String(), required=True)


# --- examples, for the contract ---

_CART: dict[str, Any] = {
    "id": "crt_01JDB0000000000000000000C0",
    "version": 1,
    "currency": "USD",
    "lines": [
        {
            "id": "cln_01JDB0000000000000000000C1", "sku": "SUPPORT-120", "name": "120 support credits",
            "kind": "credit_pack", "quantity": 2, "unit_price": _usd(12000), "total": _usd(24000), "credits": 120,
            "needs_deployment": False, "deployment_id": None, "credit_destination": None, "tax": _usd(0),
            "available": True,
            "missing": ["credit_destination"],
        }
    ],
    "totals": _TOTALS,
    "line_count": 1,
    "terms_version": "2026-11",
    "tax": None,
}  # fmt: skip
_ORDER: dict[str, Any] = {
    "id": "ord_01JDB0000000000000000000A0",
    "kind": "order",
    "number": "PC-2026-000123",
    "state": "paid",
    "lines": [{**_PAID_LINE, "fulfilment": "pending"}],
    "totals": _TOTALS,
    "payment": {"method": "card", "state": "captured", "card": _CARD},
    "instructions": None,
    "purchase_order": {"number": "PO-77"},
    "terms_version": "2026-11",
    "placed_at": "2026-11-22T11:59:59.000Z",
    "expires_at": None,
    "paid_at": "2026-11-22T12:00:00.000Z",
    "fulfilled_at": None,
    "cancel_reason": None,
    "next_action": None,
    "quote_id": None,
    "quote": None,
    "billing_address": {
        "name": "Ada Buyer",
        "company": "Acme",
        "address": "1 Main Street",
        "address_2": None,
        "city": "New York",
        "state": "NY",
        "zip": "10001",
        "country": "US",
    },
    "tax": {"name": "Sales tax", "rate_percent": "0", "certificate": "ST-119-4711"},
    "dispute": None,
}
_AWAITING: dict[str, Any] = {
    **_ORDER,
    "state": "awaiting_payment",
    "payment": {"method": "wire", "state": "requires_action", "card": None},
    "instructions": {
        "method": "wire",
        "reference": "RF84PC2026000123",
        "amount": _usd(24000),
        "received": _usd(0),
        "remaining": _usd(24000),
        "due_on": "2026-12-06",
        "pay_to": {"account": "DE89 3704 0044 0532 0130 00", "beneficiary": "Punchcard Support"},
    },
    "expires_at": "2026-12-22T11:59:59.000Z",
    "paid_at": None,
}
_LINE_ID = _CART["lines"][0]["id"]
_REFUND: dict[str, Any] = {
    "id": _REFUND_ID,
    "order_id": _ORDER["id"],
    "state": "done",
    "amount": _usd(24000),
    "reason": "Bought twice by mistake",
    "claimed": "refuse",
    "credits": _REFUNDED_CREDITS,
    "lines": None,
    "money_only": False,
    "left": _usd(0),
    "requested_by": "usr_fay",
    "approved_by": None,
    "requested_at": "2026-11-24T11:59:59.000Z",
    "ended_at": "2026-11-24T12:00:00.000Z",
    "failure_code": None,
}

RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "paid_orders": {
        "request": {"order_ids": [ORDER_PAID.example["order_id"]]},
        "reply": {"items": [ORDER_PAID.example]},
    },
    "get_cart": {"request": {"billing_address_id": None}, "reply": _CART},
    "add_line": {
        "request": {
            "sku": "SUPPORT-120", "quantity": 2, "deployment_id": None, "credit_destination": None, "if_match": 0,
            "currency": "USD",
        },
        "reply": _CART,
    },
    "update_line": {"request": {"line_id": _LINE_ID, "quantity": 2, "if_match": 1}, "reply": _CART},
    "remove_line": {"request": {"line_id": "cln_01JDB0000000000000000000C2"}, "reply": _CART},
    "apply_deployment": {
        "request": {"deployment_id": "dep_1"},
        "reply": {**_CART, "applied": [], "skipped": [{"line_id": _LINE_ID, "reason": "deployment_not_needed"}]},
    },
    "place_order": {
        "request": {
            "idempotency_key": "8f14e45f-ea5d-4c3a-9c56-2f7d7b0f6a10",
            "payment": {"method": "card", "payment_method_id": None, "provider_token": "tok_success"},
            "billing_address_id": None,
            "purchase_order": {"number": "PO-77"},
            "accept_terms": "2026-11",
            "expected_total": _usd(24000),
            "client_address": "192.0.2.7",
        },
        "reply": {"order": _ORDER, "replayed": False, "status": 201},
    },
    "cancel_order": {
        "request": {"idempotency_key": "c51ce410-c124-410e-80db-5e4b97fc2af3", "id": _ORDER["id"]},
        "reply": {
            "order": {
                **_ORDER, "state": "cancelled", "payment": {"method": "card", "state": "failed", "card": None},
                "paid_at": None, "cancel_reason": "cancelled_on_request",
            },
            "replayed": False,
            "status": 200,
        },
    },
    "change_payment": {
        "request": {
            "id": _ORDER["id"],
            "idempotency_key": "0c9a1f5e-0b57-4f0a-8a53-0f4a3ad2f6de",
            "payment": {"method": "wire", "payment_method_id": None, "provider_token": None},
        },
        "reply": {"order": _AWAITING, "replayed": False, "status": 201},
    },
    "convert_quote": {
        "request": {
            "id": _QUOTED["order_id"],
            "idempotency_key": "77aa9f5e-0b57-4f0a-8a53-0f4a3ad2f6de",
            "payment": {"method": "check", "payment_method_id": None, "provider_token": None},
        },
        "reply": {"order": {**_ORDER, "quote_id": _QUOTED["order_id"]}, "replayed": False, "status": 201},
    },
    "get_order": {
        "request": {"id": _ORDER["id"]},
        "reply": {
            **_ORDER,
            "dispute": {
                "state": "open", "amount": _usd(24000), "reason": "fraudulent",
                "opened_at": "2026-11-28T12:00:00.000Z", "closed_at": None,
            },
        },
    },
    "search_orders": {
        "request": {
            "ids": ["ord_01KAMR3Z5T8XQ0V7M2N4P6R8S0"], "number": "PC-2026-000123", "buyer_email": "ada@acme.example",
            "organization_id": "org_01", "purchase_order_number": "PO-77", "state": "fulfilled", "kind": "order",
            "limit": 20, "cursor": "Zm9v",
        },
        "reply": {
            "items": [
                {
                    "id": "ord_01KAMR3Z5T8XQ0V7M2N4P6R8S0", "number": "PC-2026-000123", "kind": "order",
                    "state": "fulfilled", "organization": {"id": "org_01", "name": "Acme"},
                    "buyer": {"email": "ada@acme.example", "name": "Ada Buyer"},
                    "total": {"amount_minor": 12000, "currency": "USD"}, "payment_method": "card",
                    "card_last4": "4242", "purchase_order_number": "PO-77", "problem": None, "dispute": "open",
                    "placed_at": "2026-11-22T12:00:00.000Z", "paid_at": "2026-11-22T12:00:01.000Z",
                }
            ],
            "next": None,
        },
    },
    "list_orders": {
        "request": {"state": "paid", "kind": "order", "purchase_order": "PO-77", "limit": 20, "cursor": None},
        "reply": {"items": [_ORDER], "next": None},
    },
    "refund_order": {
        "request": {
            "idempotency_key": "5b1c", "order_id": _ORDER["id"], "reason": _REFUND["reason"], "claimed": "refuse",
        },
        "reply": {"refund": _REFUND, "replayed": False, "status": 201},
    },
    "decide_refund": {
        "request": {"idempotency_key": "5b1d", "id": _REFUND_ID, "approve": True, "reason": "Agreed with the customer"},
        "reply": {"refund": {**_REFUND, "approved_by": "usr_finn"}, "replayed": False, "status": 201},
    },
    "find_refund": {"request": {"id": _REFUND_ID}, "reply": _REFUND},
    "list_refunds": {
        "request": {"state": "done", "order_id": _ORDER["id"], "limit": 20, "cursor": None},
        "reply": {"items": [_REFUND], "next": None},
    },
    "get_refund": {"request": {"order_id": _ORDER["id"]}, "reply": _REFUND},
    "order_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {
            "items": [
                {
                    "order_id": _ORDER["id"], "number": _ORDER["number"], "state": "fulfilled",
                    "paid_at": _ORDER["paid_at"], "payment_method": "card", "total": _usd(24000), "problem": None,
                    "refund": None,
                    "refunds": [],
                    "dispute": {"dispute_id": _DISPUTE["dispute_id"], "state": "open"},
                    "lines": [
                        {
                            "line_id": _PAID_LINE["id"], "quantity": 2, "credits": 120,
                            "credit_destination": "support_card", "is_bound": False, "handed_over": True,
                        }
                    ],
                }
            ],
            "next": None,
        },
    },
}  # fmt: skip
