"""What clients get back, for the OpenAPI document. The services shape and check it; here it passes through."""

from __future__ import annotations

from functools import cache
from typing import Any

from marshmallow import Schema, fields

from chassis.messages import money

_NUMBER = fields.Integer
_TEXT = fields.String
_WHEN = fields.AwareDateTime


def _maybe(field: type[fields.Field[Any]], **options: Any) -> fields.Field[Any]:
    return field(required=True, allow_none=True, **options)


class Problem(Schema):
    """Every error (RFC 9457)."""

    type = _TEXT(required=True)
    title = _TEXT(required=True)
    status = _NUMBER(required=True)
    detail = _TEXT(required=True, metadata={"description": "A sentence for people"})
    code = _TEXT(required=True, metadata={"description": "A stable word for programs"})
    correlation_id = _TEXT(required=True)
    errors = fields.List(fields.Nested("WrongField"))


class WrongField(Schema):
    """One wrong field."""

    field = _TEXT(required=True, metadata={"example": "lines.0.quantity"})
    message = _TEXT(required=True)


class User(Schema):
    """A user."""

    id = _TEXT(required=True)
    email = _TEXT(required=True)
    name = _TEXT(required=True)
    role = _TEXT(required=True)
    language = _TEXT(required=True)


class Party(Schema):
    """An organisation as others see it."""

    id = _TEXT(required=True)
    name = _TEXT(required=True)


class Organization(Party):
    """An organisation."""

    number = _TEXT(required=True)


class OrganizationFacts(Organization):
    """An organisation as its own users see it."""

    time_zone = _TEXT(required=True, metadata={"description": "IANA; the dates of its quotes and invoices are in it"})
    language = _TEXT(required=True)
    tax_exempt = fields.Boolean(required=True)
    tax_certificate = _maybe(_TEXT)


class OrganizationRecord(OrganizationFacts):
    """An organisation with the number of its users."""

    users_count = _NUMBER(required=True)


class Address(Schema):
    """An address of your organisation. Orders and invoices keep a copy of the one they were made with."""

    id = _TEXT(required=True)
    name = _TEXT(required=True)
    company = _maybe(_TEXT)
    address = _TEXT(required=True)
    address_2 = _maybe(_TEXT)
    city = _maybe(_TEXT)
    state = _maybe(_TEXT)
    zip = _maybe(_TEXT)
    country = _TEXT(required=True)
    default_billing = fields.Boolean(required=True)
    default_shipping = fields.Boolean(required=True)


class Session(Schema):
    """A session. The token is shown this once."""

    token = _TEXT(required=True)
    expires_at = _WHEN(required=True)
    user = fields.Nested(User, required=True)
    organization = fields.Nested(Organization, required=True)


class ApiKey(Schema):
    """An API key without its secret."""

    id = _TEXT(required=True)
    name = _TEXT(required=True)
    last_four = _TEXT(required=True)
    created_at = _WHEN(required=True)
    scopes = fields.List(_TEXT(), required=True, metadata={"description": "What it may be used for"})


class UserRecord(User):
    """A user as the admins see one."""

    active = fields.Boolean(required=True)
    created_at = _WHEN(required=True)


class Invitation(Schema):
    """Who was invited. Whether the mail has found somebody who can accept is not told."""

    id = _TEXT(required=True)
    email = _TEXT(required=True)
    name = _TEXT(required=True)
    role = _TEXT(required=True)
    invited_at = _WHEN(required=True)


class ApiKeyCreated(ApiKey):
    """A new API key. The key is shown this once."""

    key = _TEXT(required=True)


class Deployment(Schema):
    """A deployment that licences and contracts may be bound to."""

    id = _TEXT(required=True)
    name = _TEXT(required=True)
    registered_on = _TEXT(required=True)
    owner = fields.Nested(Party, required=True)
    state = _TEXT(required=True, metadata={"description": "active or retired"})
    similar_to = fields.List(_TEXT(), required=True, metadata={"description": "IDs that are easily mistaken for it"})


class Entitlement(Schema):
    """A contract or licence that is bound to a deployment. It cannot be moved."""

    order_id = _TEXT(required=True)
    order_line_id = _TEXT(required=True)
    kind = _TEXT(required=True, metadata={"description": "contract or licence"})
    sku = _TEXT(required=True)
    name = _TEXT(required=True)
    quantity = _NUMBER(required=True)
    bound_at = _WHEN(required=True)
    starts_on = _maybe(fields.Date, metadata={"description": "The first day of a contract, in UTC"})
    ends_on = _maybe(fields.Date, metadata={"description": "The last one; null: without an end"})


class DeploymentRecord(Deployment):
    """A deployment with what is bound to it, oldest first."""

    entitlements = fields.List(fields.Nested(Entitlement), required=True)


class Category(Schema):
    """A category of products."""

    slug = _TEXT(required=True)
    name = _TEXT(required=True)
    parent = _maybe(_TEXT)
    default = fields.Boolean(required=True)


class Product(Schema):
    """What is sold."""

    sku = _TEXT(required=True)
    name = _TEXT(required=True)
    description = _TEXT(required=True)
    category = _TEXT(required=True)
    kind = _TEXT(required=True, metadata={"description": "credit_pack, contract, licence or hardware"})
    credits = _NUMBER(required=True, metadata={"description": "Credits that one brings; 1 credit is 1 minute"})
    needs_deployment = fields.Boolean(required=True)
    needs_contract = fields.Boolean(required=True)
    max_quantity = _NUMBER(required=True)
    term_months = _NUMBER(allow_none=True, metadata={"description": "Of a contract: for how long it runs"})
    credits_valid_days = _NUMBER(
        allow_none=True,
        metadata={"description": "For how long its credits can be used; 0 for ever, null as the store has it"},
    )
    price = money(required=True)
    prices = fields.List(money(), required=True)
    active = fields.Boolean(required=True)


class Terms(Schema):
    """The terms and conditions of the moment."""

    version = _TEXT(required=True)
    text = _TEXT(required=True)
    published_at = _WHEN(required=True)


class Totals(Schema):
    """What it costs."""

    subtotal = money(required=True)
    tax = money(required=True)
    total = money(required=True)


class Line(Schema):
    """One line of a cart or an order."""

    id = _TEXT(required=True)
    sku = _TEXT(required=True)
    name = _TEXT(required=True)
    kind = _TEXT()
    quantity = _NUMBER(required=True)
    unit_price = money(required=True)
    total = money(required=True)
    credits = _NUMBER(required=True, metadata={"description": "Credits that each one brings"})
    deployment_id = _maybe(_TEXT)
    credit_destination = _maybe(_TEXT, metadata={"description": "organization or support_card"})
    tax = money()


class TaxShown(Schema):
    """What is charged on top; with a certificate of exemption the rate is 0."""

    name = _TEXT(required=True)
    rate_percent = _TEXT(required=True, metadata={"description": "Of each line's total, rounded half up by line"})
    certificate = _maybe(_TEXT)


class AddressShown(Schema):
    """The billing address as it stood in the address book when the order was placed."""

    name = _TEXT(required=True)
    company = _maybe(_TEXT)
    address = _TEXT(required=True)
    address_2 = _maybe(_TEXT)
    city = _maybe(_TEXT)
    state = _maybe(_TEXT)
    zip = _maybe(_TEXT)
    country = _TEXT(required=True)


class CartLine(Line):
    """One line of a cart."""

    needs_deployment = fields.Boolean(required=True)
    available = fields.Boolean(metadata={"description": "Whether it is still sold"})
    missing = fields.List(_TEXT(), required=True, metadata={"description": "deployment, credit_destination"})


class Cart(Schema):
    """Your cart."""

    id = _maybe(_TEXT)
    version = _NUMBER(required=True, metadata={"description": "The ETag"})
    currency = _TEXT(required=True)
    lines = fields.List(fields.Nested(CartLine), required=True)
    totals = fields.Nested(Totals, required=True)
    line_count = _NUMBER(required=True)
    terms_version = _maybe(_TEXT)
    tax = fields.Nested(TaxShown, allow_none=True, metadata={"description": "Null if none is known: name an address"})


class SkippedLine(Schema):
    """A line that the deployment was not applied to."""

    line_id = _TEXT(required=True)
    reason = _TEXT(required=True)


class CartWithDeployment(Cart):
    """The cart after Apply to All."""

    applied = fields.List(_TEXT(), required=True)
    skipped = fields.List(fields.Nested(SkippedLine), required=True)


class OrderLine(Line):
    """One line of an order; it never changes."""

    fulfilment = _TEXT(required=True, metadata={"description": "pending or fulfilled"})


class CardOnFile(Schema):
    """What may be shown of a payment card."""

    brand = _TEXT(required=True)
    last4 = _TEXT(required=True)


class PaymentMethod(CardOnFile):
    """A saved card."""

    id = _TEXT(required=True)
    exp_month = _NUMBER(required=True)
    exp_year = _NUMBER(required=True)
    expired = fields.Boolean(required=True, metadata={"description": "It can be chosen no longer"})
    default = fields.Boolean(required=True)
    created_at = _WHEN(required=True)


class OrderPayment(Schema):
    """How an order is paid."""

    method = _TEXT(required=True)
    state = _TEXT(required=True)
    card = fields.Nested(CardOnFile, allow_none=True, required=True)


class OrderCard(Schema):
    """A support credit card that came of an order."""

    id = _TEXT(required=True)
    number_masked = _TEXT(required=True)
    state = _TEXT(required=True)


class Instructions(Schema):
    """How to pay by wire or check what is left."""

    method = _TEXT(required=True)
    reference = _TEXT(required=True, metadata={"description": "To be given with the money (ISO 11649)"})
    amount = money(required=True)
    received = money(required=True)
    remaining = money(required=True)
    due_on = fields.Date(required=True)
    pay_to = fields.Dict(
        keys=_TEXT(), values=_TEXT(), required=True,
        metadata={"description": "account, beneficiary, bank, bic; or payable_to, address"},
    )  # fmt: skip


class PurchaseOrderShown(Schema):
    """The buyer's own number of an order."""

    number = _TEXT(required=True)


class QuoteShown(Schema):
    """What a quote has and an order has not."""

    last_day = fields.Date(required=True, metadata={"description": "The last day on which it can be converted"})
    time_zone = _TEXT(required=True, metadata={"description": "In which that day ends"})
    order_id = _maybe(_TEXT, metadata={"description": "The order that it became"})


class NextAction(Schema):
    """What the payer must do before the card is charged (3-D Secure): then resume with POST payment."""

    type = _TEXT(required=True, metadata={"description": "redirect"})
    url = _TEXT(required=True, metadata={"description": "Of the payment provider; for the payer's browser"})
    expires_at = _WHEN(required=True)


class DisputeShown(Schema):
    """The payer's bank takes back what was paid, for now or for good. What is unspent is frozen meanwhile."""

    state = _TEXT(required=True, metadata={"description": "open; won: the money is here again; lost"})
    amount = money(required=True)
    reason = _maybe(_TEXT)
    opened_at = _maybe(_WHEN)
    closed_at = _maybe(_WHEN)


class Order(Schema):
    """An order or a quote."""

    id = _TEXT(required=True)
    kind = _TEXT(required=True)
    state = _TEXT(required=True)
    number = _TEXT(required=True)
    lines = fields.List(fields.Nested(OrderLine), required=True)
    totals = fields.Nested(Totals, required=True)
    payment = fields.Nested(OrderPayment, required=True)
    instructions = fields.Nested(
        Instructions, allow_none=True, required=True, metadata={"description": "While a wire or check is awaited"}
    )
    purchase_order = fields.Nested(PurchaseOrderShown, allow_none=True, required=True)
    terms_version = _TEXT(required=True)
    placed_at = _WHEN(required=True)
    expires_at = _maybe(_WHEN)
    paid_at = _maybe(_WHEN)
    fulfilled_at = _maybe(_WHEN)
    cancel_reason = _maybe(_TEXT)
    next_action = fields.Nested(NextAction, allow_none=True, required=True)
    quote_id = _TEXT(allow_none=True, metadata={"description": "The quote that it was made from"})
    quote = fields.Nested(QuoteShown, allow_none=True)
    billing_address = fields.Nested(AddressShown, allow_none=True)
    tax = fields.Nested(TaxShown, allow_none=True)
    dispute = fields.Nested(DisputeShown, allow_none=True)
    support_cards = fields.List(
        fields.Nested(OrderCard), required=True, allow_none=True,
        metadata={"description": "Null while the credits service does not answer; read the order again"},
    )  # fmt: skip


class Expiry(Schema):
    """Credits that cannot be used any more from one moment on."""

    expires_at = _maybe(_WHEN, metadata={"description": "Null: never"})
    credits = _NUMBER(required=True)


class Issuer(Schema):
    """Who sells."""

    name = _TEXT(required=True)
    address = _TEXT(required=True)
    tax_number = _TEXT(required=True)


class InvoicedOrder(Schema):
    """What a document is for."""

    id = _TEXT(required=True)
    number = _TEXT(required=True)


class InvoicedBuyer(Schema):
    """Who ordered."""

    name = _TEXT(required=True)
    email = _TEXT(required=True)


class InvoiceLine(Schema):
    """A line of an invoice."""

    sku = _TEXT(required=True)
    name = _TEXT(required=True)
    quantity = _NUMBER(required=True)
    unit_price = money(required=True)
    total = money(required=True)
    tax = money(allow_none=True, required=True)
    deployment_id = _maybe(_TEXT)


class InvoicePayment(Schema):
    """How an order is paid, or to be paid."""

    method = _TEXT(required=True)
    card = fields.Nested(CardOnFile, allow_none=True, required=True)
    reference = _maybe(_TEXT, metadata={"description": "To be given with the money"})
    due_on = _maybe(fields.Date)


class _Document(Schema):
    number = _TEXT(required=True)
    issued_at = _WHEN(required=True)
    issuer = fields.Nested(Issuer, required=True)
    order = fields.Nested(InvoicedOrder, required=True)
    organization = fields.Nested(Party, required=True)
    buyer = fields.Nested(InvoicedBuyer, required=True)
    billing_address = fields.Nested(AddressShown, allow_none=True, required=True)
    tax = fields.Nested(TaxShown, allow_none=True, required=True)
    purchase_order_number = _maybe(_TEXT)
    totals = fields.Nested(Totals, required=True)


class Quote(Order):
    """A quote to pass on."""

    issuer = fields.Nested(Issuer, required=True)
    organization = fields.Nested(Party, required=True)


class CreditNote(_Document):
    """What was given back of an invoice."""

    invoice_number = _TEXT(required=True)


class Invoice(_Document):
    """An invoice; invoices are numbered without gaps."""

    state = _TEXT(required=True, metadata={"description": "open, paid or void"})
    paid_at = _maybe(_WHEN)
    voided_at = _maybe(_WHEN)
    lines = fields.List(fields.Nested(InvoiceLine), required=True)
    terms_version = _TEXT(required=True)
    payment = fields.Nested(InvoicePayment, required=True)
    supplied_on = _maybe(fields.Date, metadata={"description": "Where it is another day than that of the invoice"})
    credit_notes = fields.List(fields.Nested(CreditNote), required=True)


class DocumentInShort(Schema):
    """An invoice or credit note as a list shows it."""

    id = _TEXT(required=True)
    number = _TEXT(required=True)
    kind = _TEXT(required=True, metadata={"description": "invoice or credit_note"})
    issuer = _TEXT(required=True, metadata={"description": "Whose series the number is of"})
    state = _TEXT(required=True, metadata={"description": "open, paid or void; a credit note is issued"})
    issued_at = _WHEN(required=True)
    paid_at = _maybe(_WHEN)
    voided_at = _maybe(_WHEN)
    order = fields.Nested(InvoicedOrder, required=True)
    organization = fields.Nested(Party, required=True)
    purchase_order_number = _maybe(_TEXT)
    totals = fields.Nested(Totals, required=True)
    invoice_number = _maybe(_TEXT, metadata={"description": "Of which a credit note is"})


class Balance(Schema):
    """The credits of your organisation."""

    balance = _NUMBER(required=True, metadata={"description": "What you can use now"})
    held = _NUMBER(metadata={"description": "Beside it: what is held for tickets and disputes"})
    unit = _TEXT(required=True)
    minutes_per_credit = _NUMBER(required=True)
    expiries = fields.List(
        fields.Nested(Expiry),
        metadata={"description": "The whole balance by expiry, what expires first before the rest"},
    )


class Entry(Schema):
    """One line of the statement."""

    id = _TEXT(required=True)
    kind = _TEXT(required=True)
    amount = _NUMBER(required=True, metadata={"description": "Credits, negative if they went"})
    balance_after = _NUMBER(allow_none=True)
    memo = _maybe(_TEXT)
    occurred_at = _WHEN(required=True)
    order_id = _maybe(_TEXT)
    card_id = _maybe(_TEXT)
    expires_at = _WHEN(
        allow_none=True, metadata={"description": "Of the credits that the entry brought; null: they do not expire"}
    )


class BalanceAlert(Schema):
    """Below which balance a mail is sent, and to whom; null: none."""

    threshold = _maybe(_NUMBER)
    email = _maybe(_TEXT)


class FoundBreak(Schema):
    """A place where the store is not as it must be."""

    rule = _TEXT(required=True)
    subject = _TEXT(required=True)
    expected = _NUMBER(required=True)
    found = _NUMBER(required=True)


class Reconciliation(Schema):
    """What a reconciliation of the whole store has found."""

    id = _TEXT(required=True)
    began_at = _WHEN(required=True)
    ended_at = _WHEN(required=True)
    looked_at = fields.Dict(keys=_TEXT(), values=_NUMBER(), required=True)
    breaks_count = _NUMBER(required=True)
    breaks = fields.List(
        fields.Nested(FoundBreak), required=True, metadata={"description": "The first 200; none when all is well"}
    )


class TracedCard(Schema):
    """The card that credits came on."""

    id = _TEXT(required=True)
    number_masked = _TEXT(required=True)
    state = _TEXT(required=True)
    credits = _NUMBER(required=True)
    issued_at = _WHEN(required=True)
    claimed_at = _maybe(_WHEN)
    issuer = fields.Nested(Party, required=True)
    split_from = fields.List(
        _TEXT(), required=True, metadata={"description": "The cards it was split off, up to the one that was bought"}
    )


class TracedPayment(Schema):
    """How the order was paid."""

    id = _maybe(_TEXT)
    method = _TEXT(required=True)
    state = _maybe(_TEXT)
    card = fields.Nested(CardOnFile, allow_none=True, required=True)


class TracedInvoice(Schema):
    """The invoice of the order."""

    number = _TEXT(required=True)
    state = _TEXT(required=True)


class TracedOrder(Schema):
    """The order that credits came of. What your role may not see is null."""

    id = _TEXT(required=True)
    line_id = _TEXT(required=True)
    number = _maybe(_TEXT)
    placed_at = _maybe(_WHEN)
    paid_at = _maybe(_WHEN)
    purchase_order_number = _maybe(_TEXT)
    line = fields.Nested(OrderLine, allow_none=True, required=True)
    total = money(allow_none=True, required=True)
    payment = fields.Nested(TracedPayment, allow_none=True, required=True)
    invoice = fields.Nested(TracedInvoice, allow_none=True, required=True)


class TracedSource(Schema):
    """Credits that came together: how many of them the entry moved, and where they came from."""

    entry_id = _TEXT(required=True, metadata={"description": "The entry that brought them"})
    kind = _TEXT(required=True)
    credits = _NUMBER(required=True, metadata={"description": "Negative if they went"})
    memo = _TEXT(required=True)
    occurred_at = _WHEN(required=True)
    expires_at = _maybe(_WHEN)
    free = fields.Boolean(required=True, metadata={"description": "Given by staff rather than bought"})
    card = fields.Nested(TracedCard, allow_none=True, required=True)
    order = fields.Nested(
        TracedOrder, allow_none=True, required=True,
        metadata={"description": "Null for what staff gave, and where the order is another organisation's"},
    )  # fmt: skip


class TracedUse(Schema):
    """What credits that the entry brought were used for."""

    entry_id = _TEXT(required=True)
    kind = _TEXT(required=True)
    credits = _NUMBER(required=True)
    memo = _TEXT(required=True)
    occurred_at = _WHEN(required=True)


class Trace(Schema):
    """An entry of a statement, explained."""

    organization_id = _TEXT(required=True)
    entry = fields.Nested(Entry, required=True)
    sources = fields.List(fields.Nested(TracedSource), required=True)
    uses = fields.List(fields.Nested(TracedUse), required=True, metadata={"description": "The newest 100"})


class CardBoundTo(Schema):
    """Who alone may claim a card: one of the two."""

    organization_number = _maybe(_TEXT)
    mail_domain = _maybe(_TEXT)


class SupportCard(Schema):
    """A support credit card, masked."""

    id = _TEXT(required=True)
    number_masked = _TEXT(required=True)
    state = _TEXT(required=True, metadata={"description": "issued, claimed, recalled, expired, frozen or split"})
    credits = _NUMBER(required=True)
    issued_at = _WHEN(required=True)
    claimed_at = _maybe(_WHEN)
    expires_at = _maybe(_WHEN)
    order_id = _maybe(_TEXT)
    claimant = fields.Nested(Party, allow_none=True, required=True)
    issuer = fields.Nested(Party, required=True)
    bound_to = fields.Nested(CardBoundTo, allow_none=True, metadata={"description": "Shown to the issuer"})
    frozen_by = _TEXT(allow_none=True, metadata={"description": "issuer, staff or dispute; shown to the issuer"})
    split_from = _TEXT(allow_none=True, metadata={"description": "The card it was split off; shown to the issuer"})


class CardPreview(Schema):
    """What claiming the card would bring, and to whom."""

    number_masked = _TEXT(required=True)
    credits = _NUMBER(required=True)
    expires_at = _maybe(_WHEN)
    organization = fields.Nested(Party, required=True)


class Claim(Schema):
    """A claimed card."""

    card = fields.Nested(SupportCard, required=True)
    credits = _NUMBER(required=True)
    balance = _NUMBER(required=True)


class Recall(Claim):
    """A recalled card: its credits are on the issuer's balance."""


class SplitCard(Schema):
    """A card that was split, and the cards that it was split into."""

    card = fields.Nested(SupportCard, required=True)
    cards = fields.List(fields.Nested(SupportCard), required=True)


class Spent(Schema):
    """What was spent, and what is left."""

    id = _TEXT(required=True, metadata={"description": "The entry of the organisation's statement"})
    organization_id = _TEXT(required=True)
    credits = _NUMBER(required=True)
    balance = _NUMBER(required=True)


class Granted(Spent):
    """What was given."""

    expires_at = _maybe(_WHEN)


class Adjusted(Schema):
    """What was added to a balance or, negative, taken off, and what is left."""

    id = _TEXT(required=True, metadata={"description": "The entry of the organisation's statement"})
    organization_id = _TEXT(required=True)
    credits = _NUMBER(required=True)
    balance = _NUMBER(required=True)


class RefundedCredits(Schema):
    """What became of the credits that a refunded order had brought."""

    taken_back = _NUMBER(required=True)
    claimed = _NUMBER(required=True, metadata={"description": "On cards that were claimed; they stay there"})
    spent = _NUMBER(required=True)
    expired = _NUMBER(required=True, metadata={"description": "Not claimed, or not used, in time"})


class RefundedLineShown(Schema):
    """Pieces of a line that were given back."""

    line_id = _TEXT(required=True)
    quantity = _NUMBER(required=True)


class Refund(Schema):
    """A refund of an order: of all of it, or a part."""

    id = _TEXT(required=True)
    order_id = _TEXT(required=True)
    state = _TEXT(
        required=True,
        metadata={
            "description": "awaiting_approval, rejected, taking_back, returning_money, awaiting_payout, done, refused "
            "or failed"
        },
    )  # fmt: skip
    amount = money(required=True)
    reason = _TEXT(required=True)
    claimed = _TEXT(required=True, metadata={"description": "refuse or refund_anyway"})
    credits = fields.Nested(RefundedCredits, required=True, allow_none=True)
    lines = fields.List(
        fields.Nested(RefundedLineShown), required=True, allow_none=True,
        metadata={"description": "Null for all that was left, or for money only"},
    )  # fmt: skip
    money_only = fields.Boolean(required=True, metadata={"description": "Nothing that was bought is taken back"})
    left = money(required=True)
    approved_by = _maybe(_TEXT, metadata={"description": "Whoever agreed or did not, if it needed a second person"})
    requested_by = _TEXT(required=True)
    requested_at = _WHEN(required=True)
    ended_at = _maybe(_WHEN)
    failure_code = _maybe(_TEXT)


class DeadLetter(Schema):
    """An event that could not be handled. Its body is shown to nobody."""

    service = _TEXT(required=True)
    id = _TEXT(required=True)
    queue = _TEXT(required=True, metadata={"description": "The service and the event"})
    event_id = _maybe(_TEXT)
    cause = _TEXT(required=True)
    attempts = _NUMBER(required=True)
    parked_at = _WHEN(required=True)
    age_s = _NUMBER(required=True, metadata={"description": "Seconds since it was parked; it is kept for 30 days"})
    replayed_at = _maybe(_WHEN)
    headers = fields.Dict(
        keys=_TEXT(),
        values=_TEXT(),
        required=True,
        metadata={"description": "The value of a header not ours is masked"},
    )


class NamedOrganization(Schema):
    """An organisation."""

    id = _TEXT(required=True)
    name = _TEXT(required=True)


class NamedBuyer(Schema):
    """Who placed an order."""

    email = _TEXT(required=True)
    name = _TEXT(required=True)


class OrderInShort(Schema):
    """An order as a search shows it to staff. `problem`: a person must look at it."""

    id = _TEXT(required=True)
    number = _TEXT(required=True)
    kind = _TEXT(required=True)
    state = _TEXT(required=True)
    organization = fields.Nested(NamedOrganization, required=True)
    buyer = fields.Nested(NamedBuyer, required=True)
    total = money(required=True)
    payment_method = _TEXT(required=True)
    card_last4 = _maybe(_TEXT)
    purchase_order_number = _maybe(_TEXT)
    placed_at = _WHEN(required=True)
    paid_at = _maybe(_WHEN)
    problem = _maybe(_TEXT)
    dispute = _TEXT(allow_none=True, metadata={"description": "open, won or lost"})


class TimelineStep(Schema):
    """Something that happened. `by`, for staff: who of them did it."""

    service = _TEXT(required=True)
    happened_at = _WHEN(required=True)
    what = _TEXT(required=True)
    details = fields.Dict(required=True)
    by = _maybe(_TEXT)


class Timeline(Schema):
    """What happened to an order, oldest first."""

    items = fields.List(fields.Nested(TimelineStep), required=True)


class AuditEntry(Schema):
    """Who changed what. Without an actor the store did it by itself."""

    service = _TEXT(required=True)
    id = _TEXT(required=True)
    happened_at = _WHEN(required=True)
    action = _TEXT(required=True)
    subject_id = _TEXT(required=True)
    organization_id = _maybe(_TEXT)
    actor_id = _maybe(_TEXT)
    actor_email = _maybe(_TEXT)
    actor_role = _maybe(_TEXT)
    details = fields.Dict(required=True)
    correlation_id = _TEXT(required=True)


class Replayed(Schema):
    """How many dead letters went back to their queues, and how many of those asked for still wait."""

    replayed = _NUMBER(required=True)
    remaining = _NUMBER(required=True)


class Receipt(Schema):
    """Money that has come by wire or check."""

    id = _TEXT(required=True)
    order_id = _TEXT(required=True)
    order_number = _TEXT(required=True)
    method = _TEXT(required=True)
    bank_reference = _TEXT(required=True)
    amount = money(required=True)
    received_on = fields.Date(required=True)
    recorded_by = _TEXT(required=True)
    recorded_at = _WHEN(required=True)


class PaymentProgress(Schema):
    """How far an order is paid with it."""

    state = _TEXT(required=True, metadata={"description": "requires_action, captured, failed or voided"})
    due = money(required=True)
    received = money(required=True)
    remaining = money(required=True)
    surplus = money(required=True)
    reason = _maybe(_TEXT, metadata={"description": "Of the surplus: overpaid, order_paid or order_cancelled"})


class Recorded(Schema):
    """A receipt, and how far the order is paid with it."""

    receipt = fields.Nested(Receipt, required=True)
    payment = fields.Nested(PaymentProgress, required=True)


class Payout(Schema):
    """Money that staff send, or have sent, by bank."""

    id = _TEXT(required=True, metadata={"description": "The refund's, or the surplus'"})
    kind = _TEXT(required=True, metadata={"description": "refund or surplus"})
    order_id = _TEXT(required=True)
    order_number = _TEXT(required=True)
    organization_id = _TEXT(required=True)
    amount = money(required=True)
    reason = _TEXT(required=True)
    state = _TEXT(required=True, metadata={"description": "waiting or paid"})
    bank_reference = _maybe(_TEXT)
    paid_on = _maybe(fields.Date)
    recorded_by = _maybe(_TEXT)
    recorded_at = _maybe(_WHEN)


class ChargeDispute(Schema):
    """A card payment that the payer's bank takes back."""

    id = _TEXT(required=True)
    order_id = _TEXT(required=True)
    order_number = _maybe(_TEXT, metadata={"description": "Null while the charge is not known here"})
    organization_id = _maybe(_TEXT)
    amount = money(required=True)
    reason = _TEXT(required=True, metadata={"description": "The provider's word for why"})
    state = _TEXT(required=True, metadata={"description": "open, won or lost"})
    opened_at = _WHEN(required=True)
    evidence_due_at = _WHEN(required=True, metadata={"description": "Until then the card network listens"})
    evidence = _maybe(_TEXT, metadata={"description": "The newest that the provider has"})
    evidence_sent_at = _maybe(_WHEN)
    accepted_at = _maybe(_WHEN)
    closed_at = _maybe(_WHEN)
    provider_dispute_id = _TEXT(required=True)
    provider_charge_id = _TEXT(required=True)


class SettledSurplus(Schema):
    """What became of a surplus."""

    surplus_id = _TEXT(required=True)
    settlement = _TEXT(required=True, metadata={"description": "returned or used"})
    order_id = _maybe(_TEXT)
    payment = fields.Nested(lambda: PaymentProgress(), required=True, allow_none=True)


class StrayCharge(Schema):
    """A charge that the payment provider made although the attempt was over. It is given back by itself."""

    order_id = _TEXT(required=True)
    order_number = _TEXT(required=True)
    provider_charge_id = _TEXT(required=True)
    state = _TEXT(
        required=True,
        metadata={"description": "returning, returned, or refused by the provider: then somebody must see to it"},
    )


class Surplus(Schema):
    """Money that had nothing to pay for: it came by wire or check, or by a charge of the payment provider's own."""

    id = _TEXT(required=True)
    reason = _TEXT(required=True)
    amount = money(required=True)
    noted_at = _WHEN(required=True)
    organization_id = _TEXT(required=True)
    settlement = _maybe(_TEXT, metadata={"description": "returned or used; null until it is settled"})
    receipt = fields.Nested(Receipt, required=True, allow_none=True)
    charge = fields.Nested(
        StrayCharge, required=True, allow_none=True, metadata={"description": "For the reason stray_capture"}
    )


class Objection(Schema):
    """What stands in the way of a ticket."""

    code = _TEXT(
        required=True,
        metadata={"description": "forbidden, deployment_retired, no_contract or insufficient_credits"},
    )
    detail = _TEXT(required=True)


class BoundContract(Schema):
    """A support contract of a deployment."""

    sku = _TEXT(required=True)
    name = _TEXT(required=True)
    bound_at = _WHEN(required=True)
    starts_on = _maybe(fields.Date)
    ends_on = _maybe(fields.Date, metadata={"description": "The last day, in UTC; null: without an end"})


class Preflight(Schema):
    """Whether a ticket would be accepted."""

    accepted = fields.Boolean(required=True)
    reasons = fields.List(fields.Nested(Objection), required=True)
    deployment = fields.Nested(Party, required=True)
    contracts = fields.List(fields.Nested(BoundContract), required=True)
    balance = _NUMBER(required=True)
    cap_credits = _NUMBER(required=True)


class TicketCredits(Schema):
    """The credits of a ticket; each is a minute. The first three are of the time since it was last opened."""

    cap = _NUMBER(required=True, metadata={"description": "Held for it"})
    worked = _NUMBER(required=True)
    written_off = _NUMBER(required=True, metadata={"description": "Of these, what you did not agree to"})
    debited = _NUMBER(required=True)
    given_back = _NUMBER(required=True)


class AskedOverrun(Schema):
    """More credits that a ticket needs; say yes or no at /v1/tickets/{id}/overrun."""

    id = _TEXT(required=True)
    credits = _NUMBER(required=True)
    asked_at = _WHEN(required=True)


class Defect(Schema):
    """Why the credits of a ticket were given back."""

    found_at = _WHEN(required=True)
    reason = _TEXT(required=True)


class TicketSummary(Schema):
    """A ticket in a list."""

    id = _TEXT(required=True)
    number = _TEXT(required=True)
    state = _TEXT(
        required=True, metadata={"description": "opening, open, waiting_for_customer, closing, closed or refused"}
    )
    subject = _TEXT(required=True)
    organization = fields.Nested(Party, required=True)
    deployment = fields.Nested(Party, required=True)
    requester = fields.Nested(Party, required=True)
    credits = fields.Nested(TicketCredits, required=True)
    overrun = fields.Nested(AskedOverrun, required=True, allow_none=True)
    defect = fields.Nested(Defect, required=True, allow_none=True)
    opened_at = _WHEN(required=True)
    updated_at = _WHEN(required=True)
    closed_at = _maybe(_WHEN)


class TimeEntry(Schema):
    """Time worked; negative: another entry is taken back."""

    id = _TEXT(required=True)
    minutes = _NUMBER(required=True)
    note = _TEXT(required=True)
    worked_on = fields.Date(required=True)
    worked_by = _TEXT(required=True)
    recorded_at = _WHEN(required=True)
    reverses = _maybe(_TEXT)


class Ticket(TicketSummary):
    """A ticket."""

    description = _TEXT(required=True)
    time = fields.List(fields.Nested(TimeEntry), required=True)


class Comment(Schema):
    """What somebody wrote about a ticket."""

    id = _TEXT(required=True)
    text = _TEXT(required=True)
    internal = fields.Boolean(required=True)
    by_staff = fields.Boolean(required=True)
    author = fields.Nested(Party, required=True)
    written_at = _WHEN(required=True)


class CommentAdded(Schema):
    """A new comment, and where the ticket stands with it."""

    comment = fields.Nested(Comment, required=True)
    state = _TEXT(required=True)


class Alive(Schema):
    """The process answers."""

    status = _TEXT(required=True)


class Readiness(Schema):
    """Whether everything behind the gateway answers."""

    status = _TEXT(required=True)
    services = fields.Dict(keys=_TEXT(), values=_TEXT(), required=True)


@cache  # one schema for all routes that list the same
def page_of(item: type[Schema]) -> type[Schema]:
    """One page of a list of `item`."""
    return Schema.from_dict(
        {"items": fields.List(fields.Nested(item), required=True), "next": _maybe(_TEXT)},
        name=f"{item.__name__}Page",
    )
