"""What comes in and goes out of credits: RPC requests and replies, events."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from chassis.messages import EventType, PlainString, RequestSchema, StrictInteger, TolerantSchema, UtcDateTime
from credits.domain.cards import CardState, FrozenBy
from credits.domain.crediting import ORGANIZATION, SUPPORT_CARD
from credits.domain.splitting import MOST_PARTS

_CREDITS = validate.Range(min=1)
_NONE_OR_MORE = validate.Range(min=0)
#: Keeps a typing error out of a 64-bit column.
MOST_CREDITS = 10**9
_IDEMPOTENCY_KEY = validate.Regexp(r"^[\x20-\x7e]{1,255}\Z", error="1 to 255 printable ASCII characters.")


def _string(**kwargs: Any) -> fields.String:
    return fields.String(required=True, **kwargs)


# --- what is common ---------------------------------------------------------------------------------------------------


class Party(Schema):
    """An organisation as others may see it."""

    id = _string()
    name = _string()


class Buyer(Schema):
    """Whom to write to."""

    email = _string()
    name = _string()
    language = _string()


class BoundTo(Schema):
    """Who alone may claim a card: one of the two."""

    organization_number = _string(allow_none=True)
    mail_domain = _string(allow_none=True)


class Card(Schema):
    """A support credit card as its issuer or claimant sees it."""

    id = _string()
    number_masked = _string()
    state = _string(validate=validate.OneOf([str(state) for state in CardState]))
    credits = StrictInteger(required=True, validate=_CREDITS)
    issued_at = UtcDateTime(required=True)
    claimed_at = UtcDateTime(required=True, allow_none=True)
    expires_at = UtcDateTime(required=True, allow_none=True)
    #: The issuer's order; null for a claimant, whom it does not concern.
    order_id = _string(allow_none=True)
    claimant = fields.Nested(Party, required=True, allow_none=True)
    issuer = fields.Nested(Party, required=True)
    #: For the issuer only: who may claim it (null: whoever has number and code), who has frozen it, and which card it
    #: was split off.
    bound_to = fields.Nested(BoundTo, allow_none=True)
    frozen_by = fields.String(allow_none=True, validate=validate.OneOf([str(who) for who in FrozenBy]))
    split_from = fields.String(allow_none=True)


# --- RPC requests -----------------------------------------------------------------------------------------------------


class Nothing(RequestSchema):
    """A request without fields."""


class PageOf(RequestSchema):
    """A page of a list."""

    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = PlainString(load_default=None, allow_none=True)


class ListEntries(PageOf):
    """A page of the statement: all of it, or what occurred from one moment on and before another."""

    since = UtcDateTime(load_default=None, allow_none=True)
    until = UtcDateTime(load_default=None, allow_none=True)


class TraceEntry(RequestSchema):
    """An entry of the statement, to explain."""

    id = PlainString(required=True, max_length=64)
    #: For staff: of whichever organisation.
    any_organization = fields.Boolean(load_default=False)


class ListCards(PageOf):
    """A page of the cards that the caller's organisation issued or claimed."""

    role = _string(validate=validate.OneOf(["issuer", "claimant"]))
    state = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf([str(state) for state in CardState])
    )


class GetCard(RequestSchema):
    """One card."""

    id = PlainString(required=True, max_length=64)


class CardsOfOrders(RequestSchema):
    """The cards of some orders of the caller's organisation."""

    order_ids = fields.List(PlainString(max_length=64), required=True, validate=validate.Length(max=100))


class PreviewCard(RequestSchema):
    """The number, and the claim code sealed for credits. Their form is not checked here: a malformed one is refused
    like a wrong one.
    """

    number = _string()
    sealed_code = _string()
    #: Where the request came from; failures are counted for it.
    client_address = PlainString(required=True, max_length=64)


class ClaimCard(PreviewCard):
    """The same, to claim."""

    idempotency_key = _string(validate=_IDEMPOTENCY_KEY)


class RecallCard(RequestSchema):
    """One card, to take back."""

    card_id = PlainString(required=True, max_length=64)
    idempotency_key = _string(validate=_IDEMPOTENCY_KEY)


class OwnCard(RecallCard):
    """One card that the caller's organisation issued, to freeze, unfreeze or reissue."""


class BindCard(RecallCard):
    """One card, and who may claim it: one organisation, or people of one mail domain; nulls: anybody."""

    organization_number = PlainString(load_default=None, allow_none=True, max_length=64)
    mail_domain = PlainString(load_default=None, allow_none=True, max_length=253)

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if data.get("organization_number") is not None and data.get("mail_domain") is not None:
            raise ValidationError("Say either organization_number or mail_domain.")


class SplitCard(RecallCard):
    """One card, and the credits of each part."""

    credits = fields.List(
        StrictInteger(validate=validate.Range(min=1, max=MOST_CREDITS)), required=True,
        validate=validate.Length(min=2, max=MOST_PARTS),
    )  # fmt: skip


class Spend(RequestSchema):
    """Credits of an organisation, to spend for a cause."""

    organization_id = PlainString(required=True, max_length=64)
    credits = StrictInteger(required=True, validate=validate.Range(min=1, max=MOST_CREDITS))
    cause = PlainString(required=True, max_length=64)
    memo = PlainString(required=True, max_length=200)
    idempotency_key = _string(validate=_IDEMPOTENCY_KEY)


class GrantCredits(RequestSchema):
    """Credits for an organisation, for free."""

    organization_id = PlainString(required=True, max_length=64)
    credits = StrictInteger(required=True, validate=validate.Range(min=1, max=MOST_CREDITS))
    reason = PlainString(required=True, max_length=200)
    expires_at = UtcDateTime(load_default=None, allow_none=True)
    idempotency_key = _string(validate=_IDEMPOTENCY_KEY)


class AdjustCredits(RequestSchema):
    """Credits of an organisation, to add or, negative, to take off."""

    organization_id = PlainString(required=True, max_length=64)
    credits = StrictInteger(
        required=True, validate=[validate.Range(min=-MOST_CREDITS, max=MOST_CREDITS), validate.NoneOf([0])]
    )
    reason = PlainString(required=True, max_length=200)
    idempotency_key = _string(validate=_IDEMPOTENCY_KEY)


class Hold(RequestSchema):
    """Credits to reserve for a cause."""

    organization_id = PlainString(required=True, max_length=64)
    cause = PlainString(required=True, max_length=64)
    credits = StrictInteger(required=True, validate=_CREDITS)
    memo = PlainString(required=True, max_length=150)


class RaiseHold(RequestSchema):
    """More credits for a hold, once for each `raise_cause`."""

    cause = PlainString(required=True, max_length=64)
    raise_cause = PlainString(required=True, max_length=64)
    credits = StrictInteger(required=True, validate=_CREDITS)


class SettleHold(RequestSchema):
    """The end of a hold: what was used of it."""

    cause = PlainString(required=True, max_length=64)
    spent = StrictInteger(required=True, validate=validate.Range(min=0))


class GiveBackHold(RequestSchema):
    """The hold whose spent credits are to come back."""

    cause = PlainString(required=True, max_length=64)
    memo = PlainString(required=True, max_length=200)


class CreditsOfLine(RequestSchema):
    """Some credits that a line of an order brought."""

    line_id = PlainString(required=True, max_length=64)
    credits = StrictInteger(required=True, validate=validate.Range(min=1))


class SetAlert(RequestSchema):
    """Below which balance to send a mail; null: none."""

    threshold = StrictInteger(required=True, allow_none=True, validate=validate.Range(min=1, max=MOST_CREDITS))


class FoundBreak(RequestSchema):
    """A place where the store is not as it must be."""

    rule = PlainString(required=True, max_length=200)
    subject = PlainString(required=True, max_length=200)
    expected = StrictInteger(required=True)
    found = StrictInteger(required=True)


class RecordReconciliation(RequestSchema):
    """What a reconciliation of the whole store has found."""

    began_at = UtcDateTime(required=True)
    ended_at = UtcDateTime(required=True)
    looked_at = fields.Dict(keys=fields.String(), values=StrictInteger(), required=True)
    breaks_count = StrictInteger(required=True, validate=_NONE_OR_MORE)
    #: The first of them.
    breaks = fields.List(fields.Nested(FoundBreak), required=True, validate=validate.Length(max=200))


class TakeBackOrder(RequestSchema):
    """All that an order brought, to take back for a refund."""

    refund_id = PlainString(required=True, max_length=64)
    order_id = PlainString(required=True, max_length=64)
    claimed = _string(validate=validate.OneOf(["refuse", "refund_anyway"]))
    #: Only so many credits of these lines; all that the order brought without it.
    lines = fields.List(
        fields.Nested(CreditsOfLine), allow_none=True, load_default=None, validate=validate.Length(min=1, max=100)
    )


class OrderFactsPage(RequestSchema):
    """A page of everything that orders brought, for staff."""

    limit = StrictInteger(load_default=100, validate=validate.Range(min=1, max=500))
    cursor = PlainString(load_default=None, allow_none=True)


# --- RPC replies ------------------------------------------------------------------------------------------------------


class Expiry(Schema):
    """Credits that expire at one moment; null: never."""

    expires_at = UtcDateTime(required=True, allow_none=True)
    credits = StrictInteger(required=True, validate=_CREDITS)


class Balance(Schema):
    """What an organisation has."""

    balance = StrictInteger(required=True, validate=validate.Range(min=0))
    unit = _string(validate=validate.Equal("credit"))
    minutes_per_credit = StrictInteger(required=True)
    #: Beside the balance: what is held for tickets and disputes.
    held = StrictInteger()
    #: All of the balance by the moment from when on it cannot be used any more, the next one first.
    expiries = fields.List(fields.Nested(Expiry))


class Entry(Schema):
    """A line of the statement."""

    id = _string()
    kind = _string()
    amount = StrictInteger(required=True)
    balance_after = StrictInteger(required=True)
    memo = _string()
    occurred_at = UtcDateTime(required=True)
    order_id = _string(allow_none=True)
    card_id = _string(allow_none=True)
    #: From when on what came by this entry cannot be used any more; null: never, or the entry brought nothing.
    expires_at = UtcDateTime(allow_none=True)


class Entries(Schema):
    """A page of the statement, newest first."""

    items = fields.List(fields.Nested(Entry), required=True)
    next = _string(allow_none=True)


class TracedCard(Schema):
    """The card that credits came on."""

    id = _string()
    number_masked = _string()
    state = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)
    issued_at = UtcDateTime(required=True)
    claimed_at = UtcDateTime(required=True, allow_none=True)
    issuer = fields.Nested(Party, required=True)
    #: The cards that it was split off, up to the one that the order brought; for the issuer.
    split_from = fields.List(fields.String(), required=True)


class TracedOrder(Schema):
    """The order line that credits came of."""

    order_id = _string()
    line_id = _string()


class TracedSource(Schema):
    """A lot of which an entry moved credits: how many, and where they came from."""

    #: The entry that brought the lot.
    entry_id = _string()
    kind = _string()
    #: Negative if they left the lot.
    credits = StrictInteger(required=True)
    memo = _string()
    occurred_at = UtcDateTime(required=True)
    expires_at = UtcDateTime(required=True, allow_none=True)
    free = fields.Boolean(required=True)
    card = fields.Nested(TracedCard, required=True, allow_none=True)
    #: Null for what staff gave, and where the order is another organisation's.
    order = fields.Nested(TracedOrder, required=True, allow_none=True)


class TracedUse(Schema):
    """What happened to credits of the lot that an entry brought; negative if they left it."""

    entry_id = _string()
    kind = _string()
    credits = StrictInteger(required=True)
    memo = _string()
    occurred_at = UtcDateTime(required=True)


class Trace(Schema):
    """An entry, the lots whose credits it moved, and what became of those that it brought (the newest 100 uses)."""

    organization_id = _string()
    entry = fields.Nested(Entry, required=True)
    sources = fields.List(fields.Nested(TracedSource), required=True)
    uses = fields.List(fields.Nested(TracedUse), required=True)


class Cards(Schema):
    """A page of cards, newest first."""

    items = fields.List(fields.Nested(Card), required=True)
    next = _string(allow_none=True)


class OrderCard(Schema):
    """A card as an order shows it."""

    id = _string()
    number_masked = _string()
    state = _string()


class OrderCards(Schema):
    """The cards of one order."""

    order_id = _string()
    cards = fields.List(fields.Nested(OrderCard), required=True)


class OrdersCards(Schema):
    """The cards of each order asked for, as asked; none for an order that is not the caller's."""

    items = fields.List(fields.Nested(OrderCards), required=True)


class Preview(Schema):
    """What a claim would bring, and to whom."""

    number_masked = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)
    expires_at = UtcDateTime(required=True, allow_none=True)
    organization = fields.Nested(Party, required=True)


class Claimed(Schema):
    """What a claim brought; kept under the Idempotency-Key."""

    card = fields.Nested(Card, required=True)
    credits = StrictInteger(required=True, validate=_CREDITS)
    balance = StrictInteger(required=True)


class ClaimReply(Claimed):
    """The same, and whether this is the first answer given again."""

    replayed = fields.Boolean(required=True)


class Recalled(Schema):
    """What recalling a card brought back; kept under the Idempotency-Key."""

    card = fields.Nested(Card, required=True)
    credits = StrictInteger(required=True, validate=_CREDITS)
    balance = StrictInteger(required=True)


class RecallReply(Recalled):
    """The same, and whether this is the first answer given again."""

    replayed = fields.Boolean(required=True)


class CardChanged(Schema):
    """A card after a change; kept under the Idempotency-Key."""

    card = fields.Nested(Card, required=True)


class CardReply(CardChanged):
    """The same, and whether this is the first answer given again."""

    replayed = fields.Boolean(required=True)


class Split(CardChanged):
    """The card that was split, and what it was split into; kept under the Idempotency-Key."""

    cards = fields.List(fields.Nested(Card), required=True)


class SplitReply(Split):
    """The same, and whether this is the first answer given again."""

    replayed = fields.Boolean(required=True)


class Spent(Schema):
    """What was spent; kept under the Idempotency-Key."""

    #: Of the line in the statement.
    id = _string()
    organization_id = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)
    balance = StrictInteger(required=True, validate=_NONE_OR_MORE)


class SpendReply(Spent):
    """The same, and whether this is the first answer given again."""

    replayed = fields.Boolean(required=True)


class Granted(Spent):
    """What was given; kept under the Idempotency-Key."""

    expires_at = UtcDateTime(required=True, allow_none=True)


class GrantReply(Granted):
    """The same, and whether this is the first answer given again."""

    replayed = fields.Boolean(required=True)


class Adjusted(Schema):
    """What was added or taken off; kept under the Idempotency-Key."""

    #: Of the line in the statement.
    id = _string()
    organization_id = _string()
    credits = StrictInteger(required=True)
    balance = StrictInteger(required=True, validate=_NONE_OR_MORE)


class AdjustReply(Adjusted):
    """The same, and whether this is the first answer given again."""

    replayed = fields.Boolean(required=True)


class TakenBack(Schema):
    """What became of an order's credits when they were taken back."""

    refund_id = _string()
    order_id = _string()
    taken_back = StrictInteger(required=True, validate=_NONE_OR_MORE)
    #: What stays with whoever has it: on cards that were claimed, and spent from the buyer's own balance.
    claimed = StrictInteger(required=True, validate=_NONE_OR_MORE)
    spent = StrictInteger(required=True, validate=_NONE_OR_MORE)
    #: On cards that nobody had claimed in time, and on the balance, not used in time.
    expired = StrictInteger(required=True, validate=_NONE_OR_MORE)


class Break(Schema):
    """A place where the ledger is not as it must be."""

    rule = _string()
    subject = _string()
    expected = StrictInteger(required=True)
    found = StrictInteger(required=True)


class Totals(Schema):
    """All credits that were ever brought, and where they are now."""

    #: What orders brought; it is in the parts below together with what staff gave.
    brought = StrictInteger(required=True)
    on_organizations = StrictInteger(required=True)
    on_cards = StrictInteger(required=True)
    spent = StrictInteger(required=True)
    expired = StrictInteger(required=True)
    taken_back = StrictInteger(required=True)
    #: What staff gave for free, and what they took off.
    given = StrictInteger()
    taken_off = StrictInteger()
    on_hold = StrictInteger()


class Reconciliation(Schema):
    """All such places, none when all is well; and the totals."""

    breaks = fields.List(fields.Nested(Break), required=True)
    totals = fields.Nested(Totals, required=True)


class Alert(Schema):
    """Below which balance a mail is sent, and to whom; nulls: none."""

    threshold = StrictInteger(required=True, allow_none=True)
    email = _string(allow_none=True)


class Recorded(Schema):
    """It is kept."""

    id = _string()


class KeptReconciliation(RecordReconciliation):
    """What a reconciliation has found."""

    id = _string()


class KeptReconciliations(Schema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(KeptReconciliation), required=True)
    next = _string(allow_none=True)


class OrderFact(Schema):
    """A grant, or the card that the credits are on."""

    order_id = _string()
    line_id = _string()
    card_id = _string(allow_none=True)
    credits = StrictInteger(required=True, validate=_CREDITS)
    #: How many of them a refund took back.
    taken_back = StrictInteger(required=True, validate=_NONE_OR_MORE)
    #: How many the buyer still has, on an unclaimed card or on the balance.
    with_buyer = StrictInteger(required=True, validate=_NONE_OR_MORE)
    #: The cards that came of the card by splitting, and of all of these the codes that were made anew, as
    #: ``<card id>:<number of the code>``: there is one mail for each.
    split_into = fields.List(fields.String())
    reissues = fields.List(fields.String())


class OrderFacts(Schema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(OrderFact), required=True)
    next = _string(allow_none=True)


# --- events that credits reads ----------------------------------------------------------------------------------------


class PaidParty(TolerantSchema):
    """The organisation that bought."""

    id = _string(validate=validate.Length(1, 64))
    name = _string(validate=validate.Length(1, 200))


class PaidBuyer(TolerantSchema):
    """Who bought."""

    user_id = _string(validate=validate.Length(1, 64))
    email = _string(validate=validate.Length(1, 320))
    name = _string(validate=validate.Length(1, 200))
    language = _string(validate=validate.Length(1, 20))


class FoundOrganization(TolerantSchema):
    """What credits reads of the reply of ``accounts.find_organization``."""

    id = fields.String(required=True)


class PaidLine(TolerantSchema):
    """A line of a paid order."""

    id = _string(validate=validate.Length(1, 64))
    sku = fields.String(load_default=None, allow_none=True)
    name = _string(validate=validate.Length(1, 200))
    quantity = StrictInteger(required=True, validate=validate.Range(min=1))
    credits = StrictInteger(required=True, validate=validate.Range(min=0))
    credit_destination = _string(allow_none=True, validate=validate.OneOf([ORGANIZATION, SUPPORT_CARD]))
    credits_valid_days = StrictInteger(load_default=None, allow_none=True, validate=validate.Range(min=0))

    @validates_schema
    def _credits_need_a_destination(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if data.get("credits") and data.get("credit_destination") is None:
            raise ValidationError("A line that brings credits says where they go.", "credit_destination")


class OrderPaid(TolerantSchema):
    """What credits reads of ``cart.order_paid.v1``."""

    order_id = _string(validate=validate.Length(1, 64))
    number = _string(validate=validate.Length(1, 64))
    organization = fields.Nested(PaidParty, required=True)
    buyer = fields.Nested(PaidBuyer, required=True)
    lines = fields.List(fields.Nested(PaidLine), required=True)


class OrderDisputed(TolerantSchema):
    """What credits reads of ``cart.order_disputed.v1``."""

    dispute_id = _string(validate=validate.Length(1, 48))
    order_id = _string(validate=validate.Length(1, 64))


class OrderDisputeClosed(OrderDisputed):
    """What credits reads of ``cart.order_dispute_closed.v1``."""

    outcome = _string(validate=validate.OneOf(["won", "lost"]))
    #: As many may be taken back; null: all that are unspent.
    credits = StrictInteger(load_default=None, allow_none=True, validate=validate.Range(min=0))


# --- events that credits emits ----------------------------------------------------------------------------------------


class CreditedGrant(Schema):
    """Credits that a line brought to the organisation."""

    line_id = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)


class CreditedCard(Schema):
    """A card that a line brought."""

    card_id = _string()
    line_id = _string()
    number_masked = _string()


class OrderCredited(Schema):
    """``credits.order_credited.v1``: all credits of an order are where they belong."""

    order_id = _string()
    line_ids = fields.List(fields.String(), required=True)
    grants = fields.List(fields.Nested(CreditedGrant), required=True)
    cards = fields.List(fields.Nested(CreditedCard), required=True)


class IssuedTo(Buyer):
    """The buyer, who gets the card mail."""

    user_id = _string()


class CardIssued(Schema):
    """``credits.card_issued.v1``: a card exists; its claim code is sealed for notifications."""

    card_id = _string()
    number = _string()
    sealed_code = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)
    expires_at = UtcDateTime(required=True, allow_none=True)
    order_id = _string()
    order_number = _string()
    buyer = fields.Nested(IssuedTo, required=True)
    issuer = fields.Nested(Party, required=True)


class CardReissued(CardIssued):
    """``credits.card_reissued.v1``: a card has a new claim code, sealed for notifications; the old one is dead."""

    #: Of the code: the first one of a card was 1.
    issue = StrictInteger(required=True, validate=validate.Range(min=2))


class CardClaimed(Schema):
    """``credits.card_claimed.v1``: an organisation has the credits of a card."""

    card_id = _string()
    number_masked = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)
    claimed_at = UtcDateTime(required=True)
    issuer = fields.Nested(Party, required=True)
    buyer = fields.Nested(Buyer, required=True)
    claimant = fields.Nested(Party, required=True)
    order_id = _string()


class CardEnded(Schema):
    """What the events about a card that nobody will claim any more have in common."""

    card_id = _string()
    number_masked = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)
    order_id = _string()
    issuer = fields.Nested(Party, required=True)
    buyer = fields.Nested(Buyer, required=True)


class CardRecalled(CardEnded):
    """``credits.card_recalled.v1``: a card was taken back, by its issuer, or by a refund or a lost dispute of its
    order.
    """

    recalled_at = UtcDateTime(required=True)
    reason = _string(validate=validate.OneOf(["issuer", "refund", "dispute"]))


class CardExpired(CardEnded):
    """``credits.card_expired.v1``: nobody has claimed a card in time."""

    expired_at = UtcDateTime(required=True)


class BalanceLow(Schema):
    """``credits.balance_low.v1``: a balance has fallen below what its organisation has named."""

    #: The entry of the statement with which it fell.
    entry_id = _string()
    organization = fields.Nested(Party, required=True)
    recipient = fields.Nested(Buyer, required=True)
    balance = StrictInteger(required=True, validate=_NONE_OR_MORE)
    threshold = StrictInteger(required=True, validate=_CREDITS)


class CardExpiring(CardEnded):
    """``credits.card_expiring.v1``: nobody has claimed a card yet, and it will expire."""

    order_number = _string()
    expires_at = UtcDateTime(required=True)


class HoldFact(Schema):
    """What a hold has, and what it had."""

    cause = _string()
    held = StrictInteger(required=True)
    spent = StrictInteger(required=True)
    given_back = StrictInteger(required=True)


class HoldFacts(Schema):
    """A page of all holds."""

    items = fields.List(fields.Nested(HoldFact), required=True)
    next = _string(allow_none=True)


class DisputeFact(Schema):
    """How a dispute stands, and what was taken back because it was lost."""

    dispute_id = _string()
    order_id = _string()
    state = _string()
    taken_back = StrictInteger(required=True)


class DisputeFacts(Schema):
    """A page of all disputes."""

    items = fields.List(fields.Nested(DisputeFact), required=True)
    next = _string(allow_none=True)


class HoldChanged(Schema):
    """A hold as it is now: ``credits.hold_placed.v1`` (also when it was raised), ``hold_settled.v1``,
    ``hold_given_back.v1``.
    """

    id = _string()
    cause = _string()
    organization_id = _string()
    credits = StrictInteger(required=True, validate=_CREDITS)
    spent = StrictInteger(required=True)
    given_back = StrictInteger(required=True)


class HoldReply(HoldChanged):
    """The same, and what the organisation can use beside it."""

    state = _string(validate=validate.OneOf(["held", "settled"]))
    balance = StrictInteger(required=True)


_ACME = {"id": "org_01K0ACME", "name": "Acme"}
_BOLT = {"id": "org_01K0BOLT", "name": "Bolt Logistics"}
_ADA = {"email": "ada@acme.example", "name": "Ada Buyer", "language": "en"}
_MASKED = "SCC-****-****-04HB"
_SEALED = "c2VhbGVkIGZvciBvbmUgc2VydmljZSBvbmx5"

ORDER_CREDITED = EventType(
    "credits.order_credited.v1",
    OrderCredited(),
    {
        "order_id": "ord_01K0",
        "line_ids": ["lin_01K0A", "lin_01K0B"],
        "grants": [{"line_id": "lin_01K0A", "credits": 240}],
        "cards": [{"card_id": "scc_01K0", "line_id": "lin_01K0B", "number_masked": _MASKED}],
    },
)
CARD_ISSUED = EventType(
    "credits.card_issued.v1",
    CardIssued(),
    {
        "card_id": "scc_01K0",
        "number": "SCC-7K2M-Q9TX-04HB",
        "sealed_code": _SEALED,
        "credits": 300,
        "expires_at": "2027-11-22T12:00:00.000Z",
        "order_id": "ord_01K0",
        "order_number": "O-1001",
        "buyer": {"user_id": "usr_01K0ADA", **_ADA},
        "issuer": _ACME,
    },
)
CARD_REISSUED = EventType(
    "credits.card_reissued.v1", CardReissued(), {**CARD_ISSUED.example, "issue": 2}
)  # fmt: skip
CARD_CLAIMED = EventType(
    "credits.card_claimed.v1",
    CardClaimed(),
    {
        "card_id": "scc_01K0",
        "number_masked": _MASKED,
        "credits": 300,
        "claimed_at": "2026-11-23T09:30:00.000Z",
        "issuer": _ACME,
        "buyer": _ADA,
        "claimant": _BOLT,
        "order_id": "ord_01K0",
    },
)
_ENDED = {
    "card_id": "scc_01K0", "number_masked": _MASKED, "credits": 300, "order_id": "ord_01K0", "issuer": _ACME,
    "buyer": _ADA,
}  # fmt: skip
BALANCE_LOW = EventType(
    "credits.balance_low.v1",
    BalanceLow(),
    {
        "entry_id": "ltx_01K3",
        "organization": _ACME,
        "recipient": _ADA,
        "balance": 45,
        "threshold": 60,
    },
)
CARD_EXPIRING = EventType(
    "credits.card_expiring.v1",
    CardExpiring(),
    {**_ENDED, "order_number": "O-1001", "expires_at": "2027-11-22T12:00:00.000Z"},
)
#: Nobody in the store needs these two; they are for whoever wants to know.
CARD_RECALLED = EventType(
    "credits.card_recalled.v1",
    CardRecalled(),
    {**_ENDED, "recalled_at": "2026-11-23T09:30:00.000Z", "reason": "issuer"},
    must_route=False,
)
CARD_EXPIRED = EventType(
    "credits.card_expired.v1",
    CardExpired(),
    {**_ENDED, "expired_at": "2027-11-22T12:00:00.000Z"},
    must_route=False,
)
_HOLD = {
    "id": "hld_01K0",
    "cause": "tkt_01K0/1",
    "organization_id": "org_01K0ACME",
    "credits": 60,
    "spent": 0,
    "given_back": 0,
}
#: Nor these three.
HOLD_PLACED = EventType("credits.hold_placed.v1", HoldChanged(), _HOLD, must_route=False)
HOLD_SETTLED = EventType("credits.hold_settled.v1", HoldChanged(), {**_HOLD, "spent": 45}, must_route=False)
HOLD_GIVEN_BACK = EventType(
    "credits.hold_given_back.v1", HoldChanged(), {**_HOLD, "spent": 45, "given_back": 45}, must_route=False
)
EVENTS = (
    ORDER_CREDITED, CARD_ISSUED, CARD_REISSUED, CARD_CLAIMED, CARD_EXPIRING, BALANCE_LOW, CARD_RECALLED, CARD_EXPIRED,
    HOLD_PLACED, HOLD_SETTLED, HOLD_GIVEN_BACK,
)  # fmt: skip

_CARD = {
    "id": "scc_01K0",
    "number_masked": _MASKED,
    "state": "claimed",
    "credits": 300,
    "issued_at": "2026-11-22T12:00:00.000Z",
    "claimed_at": "2026-11-23T09:30:00.000Z",
    "expires_at": "2027-11-22T12:00:00.000Z",
    "order_id": None,
    "claimant": _BOLT,
    "issuer": _ACME,
}
_OWN_CARD = {
    **_CARD, "state": "issued", "claimed_at": None, "claimant": None, "order_id": "ord_01K0", "bound_to": None,
    "frozen_by": None, "split_from": None,
}  # fmt: skip
_ENTRY = {
    "id": "ltx_01K0",
    "kind": "claim",
    "amount": 300,
    "balance_after": 540,
    "memo": f"Card {_MASKED} claimed",
    "occurred_at": "2026-11-23T09:30:00.000Z",
    "order_id": None,
    "card_id": "scc_01K0",
    "expires_at": "2027-11-23T09:30:00.000Z",
}
_BEARER = {"number": "scc-7k2m-q9tx-04hb", "sealed_code": _SEALED, "client_address": "192.0.2.7"}
_BALANCE = {
    "balance": 540,
    "unit": "credit",
    "minutes_per_credit": 1,
    "expiries": [
        {"expires_at": "2027-11-23T09:30:00.000Z", "credits": 300},
        {"expires_at": None, "credits": 240},
    ],
}
_RECONCILED = {
    "began_at": "2026-11-24T12:00:00.000Z",
    "ended_at": "2026-11-24T12:01:00.000Z",
    "looked_at": {"orders": 12, "paid": 9, "cards": 7, "mails": 21},
    "breaks_count": 1,
    "breaks": [{"rule": "paid_line_is_bound", "subject": "ord_01K0 lin_01K0", "expected": 1, "found": 0}],
}
RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "get_balance": {"request": {}, "reply": _BALANCE},
    "list_entries": {
        "request": {
            "limit": 20,
            "cursor": None,
            "since": "2026-11-01T00:00:00.000Z",
            "until": "2026-12-01T00:00:00.000Z",
        },
        "reply": {"items": [_ENTRY], "next": None},
    },
    "trace_entry": {
        "request": {"id": "ltx_01K0", "any_organization": False},
        "reply": {
            "organization_id": "org_01K0BOLT",
            "entry": _ENTRY,
            "sources": [
                {
                    "entry_id": "ltx_01K0",
                    "kind": "claim",
                    "credits": 300,
                    "memo": f"Card {_MASKED} claimed",
                    "occurred_at": "2026-11-23T09:30:00.000Z",
                    "expires_at": "2027-11-23T09:30:00.000Z",
                    "free": False,
                    "card": {
                        "id": "scc_01K0",
                        "number_masked": _MASKED,
                        "state": "claimed",
                        "credits": 300,
                        "issued_at": "2026-11-22T12:00:00.000Z",
                        "claimed_at": "2026-11-23T09:30:00.000Z",
                        "issuer": _BOLT,
                        "split_from": ["scc_01JZ"],
                    },
                    "order": {"order_id": "ord_01K0", "line_id": "lin_01K0B"},
                }
            ],
            "uses": [
                {
                    "entry_id": "ltx_01K3",
                    "kind": "spend",
                    "credits": -30,
                    "memo": "Ticket 7: the mail server",
                    "occurred_at": "2026-11-24T10:00:00.000Z",
                }
            ],
        },
    },
    "list_cards": {
        "request": {"role": "claimant", "state": "claimed", "limit": 20, "cursor": None},
        "reply": {"items": [_CARD], "next": None},
    },
    "get_card": {"request": {"id": "scc_01K0"}, "reply": _CARD},
    "cards_of_orders": {
        "request": {"order_ids": ["ord_01K0"]},
        "reply": {
            "items": [
                {
                    "order_id": "ord_01K0",
                    "cards": [{"id": "scc_01K0", "number_masked": _MASKED, "state": "claimed"}],
                }
            ]
        },
    },
    "preview_card": {
        "request": _BEARER,
        "reply": {
            "number_masked": _MASKED,
            "credits": 300,
            "expires_at": "2027-11-22T12:00:00.000Z",
            "organization": _BOLT,
        },
    },
    "claim_card": {
        "request": {"idempotency_key": "5f0c", **_BEARER},
        "reply": {"card": _CARD, "credits": 300, "balance": 540, "replayed": False},
    },
    "recall_card": {
        "request": {"idempotency_key": "5f0c", "card_id": "scc_01K0"},
        "reply": {
            "card": {**_CARD, "state": "recalled", "claimed_at": None, "claimant": None, "order_id": "ord_01K0"},
            "credits": 300,
            "balance": 300,
            "replayed": False,
        },
    },
    "freeze_card": {
        "request": {"idempotency_key": "5f0c", "card_id": "scc_01K0"},
        "reply": {"card": {**_OWN_CARD, "state": "frozen", "frozen_by": "issuer"}, "replayed": False},
    },
    "unfreeze_card": {
        "request": {"idempotency_key": "5f0d", "card_id": "scc_01K0"},
        "reply": {"card": _OWN_CARD, "replayed": False},
    },
    "reissue_card": {
        "request": {"idempotency_key": "5f0e", "card_id": "scc_01K0"},
        "reply": {"card": _OWN_CARD, "replayed": False},
    },
    "bind_card": {
        "request": {
            "idempotency_key": "5f0f",
            "card_id": "scc_01K0",
            "organization_number": None,
            "mail_domain": "bolt.example",
        },
        "reply": {
            "card": {**_OWN_CARD, "bound_to": {"organization_number": None, "mail_domain": "bolt.example"}},
            "replayed": False,
        },
    },
    "split_card": {
        "request": {"idempotency_key": "5f10", "card_id": "scc_01K0", "credits": [200, 100]},
        "reply": {
            "card": {**_OWN_CARD, "state": "split"},
            "cards": [
                {**_OWN_CARD, "id": "scc_01K1", "credits": 200, "split_from": "scc_01K0"},
                {**_OWN_CARD, "id": "scc_01K2", "credits": 100, "split_from": "scc_01K0"},
            ],
            "replayed": False,
        },
    },
    "spend": {
        "request": {
            "idempotency_key": "5f0c",
            "organization_id": "org_01K0BOLT",
            "credits": 30,
            "cause": "ticket-7/1",
            "memo": "Ticket 7: the mail server",
        },
        "reply": {
            "id": "ltx_01K0",
            "organization_id": "org_01K0BOLT",
            "credits": 30,
            "balance": 510,
            "replayed": False,
        },
    },
    "grant_credits": {
        "request": {
            "idempotency_key": "5f0c",
            "organization_id": "org_01K0BOLT",
            "credits": 60,
            "reason": "Sorry for the long wait",
            "expires_at": "2027-01-31T00:00:00.000Z",
        },
        "reply": {
            "id": "ltx_01K1",
            "organization_id": "org_01K0BOLT",
            "credits": 60,
            "balance": 570,
            "expires_at": "2027-01-31T00:00:00.000Z",
            "replayed": False,
        },
    },
    "adjust_credits": {
        "request": {
            "idempotency_key": "5f0c",
            "organization_id": "org_01K0BOLT",
            "credits": -15,
            "reason": "Granted twice by mistake",
        },
        "reply": {
            "id": "ltx_01K2",
            "organization_id": "org_01K0BOLT",
            "credits": -15,
            "balance": 555,
            "replayed": False,
        },
    },
    "hold": {
        "request": {"organization_id": "org_01K0ACME", "cause": "tkt_01K0/1", "credits": 60, "memo": "Ticket T-1001"},
        "reply": {**_HOLD, "state": "held", "balance": 480},
    },
    "raise_hold": {
        "request": {"cause": "tkt_01K0/1", "raise_cause": "ovr_01K0", "credits": 30},
        "reply": {**_HOLD, "credits": 90, "state": "held", "balance": 450},
    },
    "settle_hold": {
        "request": {"cause": "tkt_01K0/1", "spent": 45},
        "reply": {**_HOLD, "spent": 45, "state": "settled", "balance": 495},
    },
    "give_back_hold": {
        "request": {"cause": "tkt_01K0/1", "memo": "Ticket T-1001 was a defect"},
        "reply": {**_HOLD, "spent": 45, "given_back": 45, "state": "settled", "balance": 540},
    },
    "hold_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {"items": [{"cause": "tkt_01K0/1", "held": 0, "spent": 45, "given_back": 0}], "next": None},
    },
    "dispute_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {
            "items": [{"dispute_id": "dsp_01K0", "order_id": "ord_01K0", "state": "lost", "taken_back": 300}],
            "next": None,
        },
    },
    "get_alert": {"request": {}, "reply": {"threshold": 60, "email": "ada@acme.example"}},
    "set_alert": {"request": {"threshold": 60}, "reply": {"threshold": 60, "email": "ada@acme.example"}},
    "record_reconciliation": {"request": _RECONCILED, "reply": {"id": "rec_01K0"}},
    "list_reconciliations": {
        "request": {"limit": 20, "cursor": None},
        "reply": {"items": [{"id": "rec_01K0", **_RECONCILED}], "next": None},
    },
    "take_back_order": {
        "request": {"refund_id": "rfd_01K0", "order_id": "ord_01K0", "claimed": "refuse"},
        "reply": {
            "refund_id": "rfd_01K0",
            "order_id": "ord_01K0",
            "taken_back": 300,
            "claimed": 0,
            "spent": 0,
            "expired": 0,
        },
    },
    "reconcile": {
        "request": {},
        "reply": {
            "breaks": [],
            "totals": {
                "brought": 840,
                "on_organizations": 510,
                "on_cards": 300,
                "spent": 30,
                "expired": 0,
                "taken_back": 0,
                "given": 0,
                "taken_off": 0,
            },
        },
    },
    "order_facts": {
        "request": {"limit": 500, "cursor": None},
        "reply": {
            "items": [
                {
                    "order_id": "ord_01K0",
                    "line_id": "lin_01K0B",
                    "card_id": "scc_01K0",
                    "credits": 300,
                    "taken_back": 0,
                    "with_buyer": 300,
                    "split_into": ["scc_01K1", "scc_01K2"],
                    "reissues": ["scc_01K1:2"],
                }
            ],
            "next": None,
        },
    },
}
