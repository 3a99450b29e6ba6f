"""What a payment provider is to us, and the answers it can give.

A capture is only ever what the provider said in so many words; silence and nonsense are `Unknown`, and the attempt
stays `processing` until the provider has been understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from kernel.money import Money

#: Seconds of the longest pause a provider can order; its own mistake must not stop all payments for days.
LONGEST_PAUSE_S = 900.0


@dataclass(frozen=True, slots=True)
class Card:
    """What may be known of a card.

    Args:
        brand: as `kernel.card_numbers.brand_of` names it.
        last4: the last four digits.
    """

    brand: str
    last4: str


@dataclass(frozen=True, slots=True)
class Captured:
    """The provider says that it took the money.

    Args:
        charge_id: the provider's.
        amount: what it says it took, not what we asked for.
        card: whose money.
        captured_at: when, by the provider's clock.
    """

    charge_id: str
    amount: Money
    card: Card
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider says that it took nothing under this key and never will.

    Args:
        code: the provider's reason.
    """

    code: str


@dataclass(frozen=True, slots=True)
class Voided:
    """The provider says that it took nothing under this key and, since we gave it up, never will."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer, or none that can be trusted: the money may or may not have been taken.

    Args:
        reason: a word for the log.
        retry_after_s: seconds for which the provider wants to be left alone.
    """

    reason: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NotSeen:
    """The provider says that nothing has reached it under this key."""


@dataclass(frozen=True, slots=True)
class RequiresAction:
    """The provider says that the payer must confirm the payment first (3-D Secure); nothing is taken before.

    Args:
        url: of the provider, where the payer does so.
        expires_at: from then on the provider takes it for declined.
    """

    url: str
    expires_at: datetime


Outcome = Captured | Declined | Voided | RequiresAction | Unknown


@dataclass(frozen=True, slots=True)
class Hint:
    """What a webhook is good for: something happened to a key. What it was, the provider is asked.

    Args:
        event_id: the provider's; the same for every delivery of the same news.
        kind: what the provider calls it, for the log.
        key: the idempotency key it is about; None if it is about something else.
        is_of_dispute: whether a dispute was opened or closed.
        says_captured: whether money is said to have been taken under it.
    """

    event_id: str
    kind: str
    key: str | None
    is_of_dispute: bool = False
    says_captured: bool = False


@dataclass(frozen=True, slots=True)
class Refunded:
    """The provider says that it gave the money back.

    Args:
        refund_id: the provider's.
        amount: what it says it gave back, not what we asked for.
        refunded_at: when, by the provider's clock.
    """

    refund_id: str
    amount: Money
    refunded_at: datetime


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """The provider says that it gave nothing back under this key and never will.

    Args:
        code: the provider's reason.
    """

    code: str


RefundOutcome = Refunded | RefundRefused | Unknown


class DisputeState(StrEnum):
    """Where a dispute stands. The values are stored and sent: never rename one."""

    OPEN = "open"  # the payer's bank has the money back for now; the card network is to decide
    WON = "won"  # the network says that the charge was right: the money is ours
    LOST = "lost"  # it says that it was not, or we have accepted that


@dataclass(frozen=True, slots=True)
class DisputedCharge:
    """The provider says that a payer has their bank take a charge back.

    Args:
        dispute_id: the provider's.
        charge_id: the provider's id of the charge.
        order_id: the reference that the charge was made with.
        amount: how much of it.
        reason: the provider's word for why.
        state: as it is now.
        opened_at, closed_at: by the provider's clock; `closed_at` is None while it is open.
        evidence_due_at: until then the network listens to us.
    """

    dispute_id: str
    charge_id: str
    order_id: str
    amount: Money
    reason: str
    state: DisputeState
    opened_at: datetime
    evidence_due_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DisputeNews:
    """What has changed about disputes.

    Args:
        disputes: those that have, as they are now.
        cursor: where to go on next time.
    """

    disputes: Sequence[DisputedCharge]
    cursor: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider says that it has what we said about a dispute."""


@dataclass(frozen=True, slots=True)
class DisputeOver:
    """The provider says that the network has decided already, or that there is no such dispute."""


DisputeAnswer = Taken | DisputeOver | Unknown


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at collecting an intent's amount, as the provider must hear of it.

    Args:
        id: ours.
        intent_id: the intent it belongs to.
        order_id: the order; the reference in the provider's book.
        key: the provider idempotency key: one key, one charge at most, for ever.
        token: the one-time token of the card.
        amount: what to collect.
        checks: how often the provider was asked what became of it.
        void_wanted: whether it is to be given up, unless the money is taken already.
        save: whether its card is to be saved once it is charged.
    """

    id: str
    intent_id: str
    order_id: str
    key: str
    token: str
    amount: Money
    checks: int
    void_wanted: bool = False
    save: bool = False


@dataclass(frozen=True, slots=True)
class Refund:
    """The wish to give back some of what was captured, as the provider must hear of it.

    Args:
        id: the refund's.
        intent_id: whose money.
        order_id: the order.
        charge_id: the provider's id of the charge.
        amount: what to give back.
        checks: how often the provider was asked what became of it.
    """

    id: str
    intent_id: str
    order_id: str
    charge_id: str
    amount: Money
    checks: int

    @property
    def key(self) -> str:
        """The provider idempotency key: one key, one refund at most, for ever."""
        return self.id


@dataclass(frozen=True, slots=True)
class KeptCard:
    """The provider keeps a card for later charges.

    Args:
        card_id: the provider's; charged as a token is, any number of times.
        card: whose.
        exp_month, exp_year: it is good to the end of that month.
    """

    card_id: str
    card: Card
    exp_month: int
    exp_year: int


KeepOutcome = KeptCard | Declined | Unknown


class Provider(Protocol):
    """Takes money and gives it back. Implementations never raise for what goes wrong between us and the provider."""

    def charge(self, key: str, token: str, amount: Money, reference: str) -> Outcome:
        """Take `amount`. Asked again with the same key it answers for the first charge and makes no second one.

        Args:
            key: idempotency key of at most 255 characters.
            token: stands for the card.
            amount: more than nothing.
            reference: what the provider keeps with the charge, for people who compare books.
        """
        ...

    def find(self, key: str) -> Outcome | NotSeen:
        """What became of the key."""
        ...

    def void(self, key: str) -> Outcome:
        """Give the key up: `Voided` if nothing was taken under it, and from then on nothing can be; else what was."""
        ...

    def refund(self, key: str, charge_id: str, amount: Money) -> RefundOutcome:
        """Give `amount` of a charge back. Asked again with the same key it answers for the first refund.

        Args:
            key: idempotency key of at most 255 characters.
            charge_id: the provider's id of the charge.
            amount: more than nothing.
        """
        ...

    def find_refund(self, key: str) -> RefundOutcome | NotSeen:
        """What became of the key of a refund."""
        ...

    def keep_card(self, key: str, token: str) -> KeepOutcome:
        """Keep the card of a one-time token, or of a charge. Asked again with the same key it answers for the first
        card.

        Args:
            key: idempotency key of at most 255 characters.
            token: stands for the card; or the id of a charge that took its money.
        """
        ...

    def forget_card(self, card_id: str) -> bool:
        """Keep a card no longer; whether it is certain that the provider does not."""
        ...

    def changed_disputes(self, cursor: str | None) -> DisputeNews | Unknown:
        """Some of the disputes that were opened or closed since, the first change first.

        Args:
            cursor: where the news before ended; None for the first ones of all.
        """
        ...

    def send_evidence(self, dispute_id: str, text: str) -> DisputeAnswer:
        """Say why a disputed charge was right. The same words again change nothing.

        Args:
            dispute_id: the provider's.
            text: for people.
        """
        ...

    def accept_dispute(self, dispute_id: str) -> DisputeAnswer:
        """Let the payer have the money. Again, it changes nothing."""
        ...


class ForgedWebhook(Exception):
    """A webhook that the provider did not send, or not lately.

    Args:
        reason: a word for our log; whoever sent it gets to know nothing.
    """


class Webhooks(Protocol):
    """Reads what the provider sends by itself."""

    def read(self, body: bytes, signature: str, now: datetime) -> Hint:
        """What an authentic webhook hints at.

        Args:
            body: exactly as it came.
            signature: the header that proves it.
            now: when it came.

        Raises:
            ForgedWebhook: nothing in it may be believed.
        """
        ...


def believe(outcome: Outcome, amount: Money) -> Outcome:
    """The outcome, unless it is a capture of another amount than was asked for: nobody can tell what that means."""
    if isinstance(outcome, Captured) and outcome.amount != amount:
        return Unknown("amount_differs")
    return outcome


def believe_refund(outcome: RefundOutcome, amount: Money) -> RefundOutcome:
    """The outcome, unless another amount was given back than was asked for."""
    if isinstance(outcome, Refunded) and outcome.amount != amount:
        return Unknown("amount_differs")
    return outcome
