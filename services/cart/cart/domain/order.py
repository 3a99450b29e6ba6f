"""The order: its states, its frozen lines, and what may become of it (architecture: names)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cart.domain.dispute import Dispute
from kernel.money import Money


class State(StrEnum):
    """Where an order stands. The values are stored and public: never rename one."""

    PENDING_PAYMENT = "pending_payment"  # placed; a card payment is under way
    AWAITING_PAYMENT = "awaiting_payment"  # placed; waits for a wire or check to be recorded
    PAID = "paid"  # the money is taken; what was bought is being handed over
    FULFILLED = "fulfilled"  # every line is handed over
    CANCELLED = "cancelled"  # ended without payment
    REFUNDED = "refunded"  # all the money was given back
    PARTIALLY_REFUNDED = "partially_refunded"  # some of it was
    OPEN = "open"  # a quote that may become an order until it expires
    CONVERTED = "converted"  # a quote that became an order
    EXPIRED = "expired"  # a quote whose last day has passed


#: What is in `Order.kind`. A quote is placed as an order is, with everything frozen; nothing is paid for it or granted.
ORDER, QUOTE = "order", "quote"

_NEXT: Mapping[State, frozenset[State]] = {
    State.PENDING_PAYMENT: frozenset({State.AWAITING_PAYMENT, State.PAID, State.CANCELLED}),
    State.AWAITING_PAYMENT: frozenset({State.PENDING_PAYMENT, State.PAID, State.CANCELLED}),
    State.PAID: frozenset({State.FULFILLED, State.REFUNDED, State.PARTIALLY_REFUNDED}),
    State.FULFILLED: frozenset({State.REFUNDED, State.PARTIALLY_REFUNDED}),
    State.PARTIALLY_REFUNDED: frozenset({State.REFUNDED, State.PARTIALLY_REFUNDED}),
    State.CANCELLED: frozenset(),
    State.REFUNDED: frozenset(),
    State.OPEN: frozenset({State.CONVERTED, State.EXPIRED, State.CANCELLED}),
    State.CONVERTED: frozenset({State.OPEN}),  # the order that it became was cancelled unpaid
    State.EXPIRED: frozenset(),
}


def sources(target: State) -> list[State]:
    """The states from which an order may reach `target`; every stored transition is guarded by them."""
    return [state for state, following in _NEXT.items() if target in following]


class PaymentProblem(Exception):
    """What payments says does not fit the order. Nobody can settle that but a person: the message is parked.

    Args:
        code: stable word, kept on the order.
        detail: for the log and the dead letter.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a payment failed: the provider's stable code, and a sentence that a buyer can act on."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What payments knows of collecting an order's total.

    Args:
        state: captured, failed, voided, requires_action, or anything else for not known yet.
        intent_id: payments' id of it; None if payments has not answered.
        amount: what was taken; None where payments does not say.
        card_brand: of the card, if one was used.
        card_last4: the last four digits of it.
        decline: why it failed.
        method: by which the money came, or is to come; None where payments does not say.
        instructions: how to pay by wire or check, while that is awaited.
        attempt_id: of the change of the payment that this is the outcome of; None unless it was changed.
        next_action: what the payer must do before the card is charged.
        round: the order's, when it was asked for.
    """

    state: str
    intent_id: str | None = None
    amount: Money | None = None
    card_brand: str | None = None
    card_last4: str | None = None
    decline: Decline | None = None
    method: str | None = None
    instructions: Mapping[str, Any] | None = None
    attempt_id: str | None = None
    next_action: Mapping[str, Any] | None = None
    round: int = 0


#: Payments has not answered, or does not know yet itself.
UNKNOWN = Intent("processing")

#: Why an order was cancelled whose payment was given up.
CANCELLED_ON_REQUEST = "cancelled_on_request"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A frozen line: only `awaits_credits` and `awaits_binding` change, once, from True to False.

    A line is handed over when the order is paid and it awaits nothing. What neither brings credits nor is bound to a
    deployment (hardware) awaits nothing, so it counts as handed over at payment: nothing in Punchcard ships parcels.
    """

    id: str
    position: int
    cart_line_id: str
    sku: str
    name: str
    kind: str
    quantity: int
    unit_price_minor: int
    total_minor: int
    credits: int
    deployment_id: str | None
    credit_destination: str | None
    awaits_credits: bool
    awaits_binding: bool
    tax_minor: int = 0
    term_months: int | None = None
    credits_valid_days: int | None = None

    @property
    def awaits_nothing(self) -> bool:
        """Whether everything of it has been handed over, once the order is paid."""
        return not (self.awaits_credits or self.awaits_binding)


@dataclass(frozen=True, slots=True)
class Order:
    """An order; the fields are the columns of its row (see `cart.storage.ORDERS`)."""

    id: str
    number: str
    kind: str
    state: State
    organization_id: str
    organization_name: str
    user_id: str
    buyer_email: str
    buyer_name: str
    buyer_language: str
    cart_id: str
    cart_version: int
    currency: str
    subtotal_minor: int
    tax_minor: int
    total_minor: int
    payment_method: str
    provider_token: str | None
    purchase_order_number: str | None
    terms_version: str
    terms_accepted_at: datetime
    client_address: str
    idempotency_key: str
    placed_at: datetime
    attempts: int
    next_attempt_at: datetime
    intent_id: str | None = None
    card_brand: str | None = None
    card_last4: str | None = None
    paid_at: datetime | None = None
    fulfilled_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    problem: str | None = None
    cancel_requested_at: datetime | None = None
    instructions: Mapping[str, Any] | None = None  # how to pay by wire or check; kept when it is paid otherwise
    expires_at: datetime | None = None  # from then on it is cancelled if it still awaits payment
    received_minor: int = 0  # what has come by wire or check
    attempt_id: str | None = None  # of the last change of the payment
    change_key: str | None = None  # the Idempotency-Key of that change, while it waits for its answer
    next_action: Mapping[str, Any] | None = None  # what the payer must do before the card is charged
    payment_method_id: str | None = None  # the saved card that is to pay, or has paid
    save_card: bool = False  # whether the card of its token is to be saved once it is charged
    payment_round: int = 0  # how often the payment was changed: payments follows the newest change
    quote_id: str | None = None  # the quote that it was made from
    time_zone: str | None = None  # of a quote: in which its last day ends
    converted_to: str | None = None  # of a quote: the order that it became
    billing_address: Mapping[str, Any] | None = None  # as it stood in the address book
    tax_name: str | None = None  # None: there was no tax
    tax_rate_ppm: int | None = None  # in parts per million
    tax_certificate: str | None = None  # of the exemption, if that is why no tax is charged
    reminded_at: datetime | None = None  # of a quote: when its buyer was told that it is about to expire
    lines: tuple[OrderLine, ...] = ()
    dispute: Dispute | None = None  # of its payment; no column

    @property
    def total(self) -> Money:
        """What is to be paid."""
        return Money(self.total_minor, self.currency)

    @property
    def answered_key(self) -> str:
        """The Idempotency-Key of the last request to have this order paid."""
        return self.change_key or self.idempotency_key

    @property
    def is_asked_for(self) -> bool:
        """Whether that request still waits for its answer. One that was told how to pay by wire or check does not."""
        return self.state == State.PENDING_PAYMENT and (self.instructions is None or self.change_key is not None)

    @property
    def has_its_lines_in_the_cart(self) -> bool:
        """Whether its lines are in the cart until it is paid, or told how to be; those of a quote have left before."""
        return self.instructions is None and self.quote_id is None

    @property
    def awaits_nothing(self) -> bool:
        """Whether every line has been handed over, once the order is paid."""
        return all(line.awaits_nothing for line in self.lines)

    @property
    def awaits_credits(self) -> bool:
        """Whether credits of it are still to come."""
        return any(line.awaits_credits for line in self.lines)

    def outcome(self, intent: Intent) -> State | None:
        """The state that an intent brings the order to; None if it is there already or nothing is known yet.

        Raises:
            PaymentProblem: the amount is not the order's; or the order is closed the other way.
        """
        if intent.state == "captured":
            return self._captured(intent)
        if intent.state in ("failed", "voided"):
            return self._failed()
        return self._awaits(intent)

    def _awaits(self, intent: Intent) -> State | None:
        if intent.instructions is None or self.cancel_requested_at is not None:
            return None
        if self.state == State.PENDING_PAYMENT:
            # a word that is older than the card that is being tried decides nothing
            return State.AWAITING_PAYMENT if intent.attempt_id == self.attempt_id else None
        newer = self.instructions is not None and intent.instructions["issue"] > self.instructions["issue"]
        return State.AWAITING_PAYMENT if self.state == State.AWAITING_PAYMENT and newer else None

    def _captured(self, intent: Intent) -> State | None:
        if intent.amount is not None and intent.amount != self.total:
            raise PaymentProblem(
                "captured_amount_differs", f"order {self.id} is {self.total}, but {intent.amount} was captured"
            )
        if self.state == State.CANCELLED:
            raise PaymentProblem("captured_after_cancel", f"order {self.id} was cancelled, but money was captured")
        return State.PAID if self.state in sources(State.PAID) else None

    def _failed(self) -> State | None:
        if self.paid_at is not None:
            raise PaymentProblem(
                "failed_after_paid", f"order {self.id} is paid, but its payment is said to have failed"
            )
        return State.CANCELLED if self.state in sources(State.CANCELLED) else None


def is_known(stands: tuple[State, Money] | None, intent: Intent) -> bool:
    """Whether an intent says nothing but what its order knows: that it is paid, with that amount.

    Args:
        stands: the order's state and total; None if there is no such order.
        intent: what payments says.
    """
    if stands is None or intent.state != "captured":
        return False
    state, total = stands
    return state in (State.PAID, State.FULFILLED) and intent.amount == total


def order_number(serial: int, placed_at: datetime, kind: str = ORDER) -> str:
    """The number for people: ``PC-2026-000123``, or ``PQ-2026-000123`` for a quote.

    The serial never starts again; it may have gaps.
    """
    return f"{'PQ' if kind == QUOTE else 'PC'}-{placed_at.year}-{serial:06d}"


def next_attempt_at(now: datetime, attempts: int, first_s: int, most_s: int) -> datetime:
    """When an unanswered payment is asked about again: `first_s` seconds, doubling, at most `most_s`."""
    return now + timedelta(seconds=min(first_s * 2 ** min(attempts, 16), most_s))
