"""Money that comes by wire or check: what is awaited, and what becomes of what arrives (mission, clause 18)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from payments.domain.states import State

#: By which money may come without a provider.
METHODS = ("wire", "check")
#: The decline code of an intent whose money did not come in time; cart makes it the order's reason.
OVERDUE = "payment_overdue"


@dataclass(frozen=True, slots=True)
class Terms:
    """How long we wait for money that comes by one method, and where it goes.

    Args:
        pay_to: what the payer must know, by name: ``beneficiary``, ``bank``, ``account``, ``bic``; or ``payable_to``
            and ``address``.
        due_days: until the money is due.
        cancel_days: until the order is cancelled; more than `due_days`, since money takes its time.
        reminder_days: when the payer is reminded. All are counted from the instructions.
    """

    pay_to: Mapping[str, str]
    due_days: int
    cancel_days: int
    reminder_days: tuple[int, ...] = ()

    def due_on(self, issued_at: datetime) -> date:
        """The last day on which the money is in time (UTC)."""
        return (issued_at + timedelta(days=self.due_days)).date()

    def expires_at(self, issued_at: datetime) -> datetime:
        """The moment from which the order is cancelled if its money is not there."""
        return issued_at + timedelta(days=self.cancel_days)

    def next_reminder_at(self, issued_at: datetime, after: datetime) -> datetime | None:
        """When the payer is to be reminded next, later than `after`; None if never again."""
        moments = (issued_at + timedelta(days=days) for days in self.reminder_days)
        return min((moment for moment in moments if moment > after), default=None)


class Reason(StrEnum):
    """Why money has nothing to pay for. Stored and public: never rename one."""

    OVERPAID = "overpaid"  # more came than was due
    ORDER_PAID = "order_paid"  # the order was paid before
    ORDER_CANCELLED = "order_cancelled"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a receipt does.

    Args:
        completes: whether the amount due is there with it.
        surplus_minor: the part of it that has nothing to pay for.
        reason: why, if there is such a part.
    """

    completes: bool
    surplus_minor: int = 0
    reason: Reason | None = None


def settle(state: State, due_minor: int, before_minor: int, amount_minor: int) -> Settlement:
    """What money does that arrives for an intent.

    Args:
        state: of the intent; not `processing`, when nobody knows yet whether a card has paid.
        due_minor: the intent's amount.
        before_minor: what had arrived before.
        amount_minor: what arrives.
    """
    if state in (State.FAILED, State.VOIDED):
        return Settlement(False, amount_minor, Reason.ORDER_CANCELLED)
    if state is not State.REQUIRES_ACTION:
        return Settlement(False, amount_minor, Reason.ORDER_PAID)
    surplus = before_minor + amount_minor - due_minor
    if surplus > 0:
        return Settlement(True, surplus, Reason.OVERPAID)
    return Settlement(surplus == 0)


def bank_key(bank_reference: str) -> str:
    """A bank reference as it is compared: two clerks may type case, spaces and hyphens differently."""
    symbols = "".join(symbol for symbol in bank_reference.upper() if symbol.isalnum())
    return symbols or bank_reference
