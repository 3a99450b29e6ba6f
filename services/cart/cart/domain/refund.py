"""The refund of an order: its states, and what stands in its way (mission, clause 30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cart.domain.order import Order, State
from kernel.errors import conflict
from kernel.money import Money

#: What to do about credits that somebody has claimed or spent.
DECISIONS = ("refuse", "refund_anyway")


class RefundState(StrEnum):
    """Where a refund stands. The values are stored and public: never rename one."""

    TAKING_BACK = "taking_back"  # asked for; credits is about to take its side
    RETURNING_MONEY = "returning_money"  # credits has taken its side; the money is on its way
    DONE = "done"  # the money is given back
    REFUSED = "refused"  # credits said no; nothing was changed
    FAILED = "failed"  # the provider will not give the money back: a person must find another way


_NEXT: Mapping[RefundState, frozenset[RefundState]] = {
    RefundState.TAKING_BACK: frozenset({RefundState.RETURNING_MONEY, RefundState.REFUSED}),
    RefundState.RETURNING_MONEY: frozenset({RefundState.DONE, RefundState.FAILED}),
    RefundState.DONE: frozenset(),
    RefundState.REFUSED: frozenset(),
    RefundState.FAILED: frozenset(),
}

#: The states in which somebody has to go on with it.
UNDER_WAY = tuple(state for state, following in _NEXT.items() if following)


def sources(target: RefundState) -> list[RefundState]:
    """The states from which a refund may reach `target`; every stored transition is guarded by them."""
    return [state for state, following in _NEXT.items() if target in following]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What became of the credits that the order had brought.

    Args:
        taken_back: recalled with unclaimed cards, or taken off the buyer's balance.
        claimed: on cards that were claimed; they stay with whoever claimed them.
        spent: from the buyer's balance; they are gone.
        expired: on cards that nobody had claimed in time.
    """

    taken_back: int
    claimed: int
    spent: int
    expired: int


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund; the fields are the columns of its row (see `cart.storage.REFUND`), but for what was taken back.

    Args:
        scope: the organisation of whoever asked, to which the Idempotency-Key belongs.
        taken_back: None until credits has taken its side.
    """

    id: str
    order_id: str
    state: RefundState
    amount_minor: int
    currency: str
    reason: str
    claimed: str
    requested_by: str
    scope: str
    idempotency_key: str
    requested_at: datetime
    attempts: int
    next_attempt_at: datetime
    ended_at: datetime | None = None
    failure_code: str | None = None
    taken_back: TakenBack | None = None

    @property
    def amount(self) -> Money:
        """What is to be given back."""
        return Money(self.amount_minor, self.currency)


def check_refundable(order: Order) -> None:
    """Refuse to refund an order that cannot be.

    Everything of it must have been handed over first: what credits has not brought yet it could not take back.

    Raises:
        Refusal: `order_not_paid`, `order_refunded`, `order_not_paid_by_card`, `order_has_problem`,
            `order_not_handed_over`.
    """
    if order.paid_at is None:
        raise conflict("order_not_paid", "This order was not paid: there is nothing to give back.")
    if order.state is State.REFUNDED:
        raise conflict("order_refunded", "This order was refunded before.")
    if order.payment_method != "card":
        raise conflict(
            "order_not_paid_by_card", "Money that came by wire or check is not given back from here: send it yourself."
        )
    if order.problem is not None:
        raise conflict("order_has_problem", "Something is wrong with this order. Look at it first.")
    if not order.awaits_nothing:
        raise conflict(
            "order_not_handed_over", "What was bought is still being handed over. Ask again in a moment."
        )  # fmt: skip
