"""The refund of an order: its states, and what stands in its way (mission, clause 30)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cart.domain.dispute import DisputeState
from cart.domain.order import Order, State
from kernel.errors import conflict, invalid
from kernel.money import Money

#: What to do about credits that somebody has claimed or spent.
DECISIONS = ("refuse", "refund_anyway")


class RefundState(StrEnum):
    """Where a refund stands. The values are stored and public: never rename one."""

    AWAITING_APPROVAL = "awaiting_approval"  # asked for; another person must agree
    REJECTED = "rejected"  # that person did not; nothing was changed
    TAKING_BACK = "taking_back"  # asked for; credits is about to take its side
    RETURNING_MONEY = "returning_money"  # credits has taken its side; the money is on its way
    AWAITING_PAYOUT = "awaiting_payout"  # the money came by wire or check: staff must send it, and record that
    DONE = "done"  # the money is given back
    REFUSED = "refused"  # credits said no; nothing was changed
    FAILED = "failed"  # the provider will not give the money back: a person must find another way


_NEXT: Mapping[RefundState, frozenset[RefundState]] = {
    RefundState.AWAITING_APPROVAL: frozenset({RefundState.TAKING_BACK, RefundState.REJECTED}),
    RefundState.REJECTED: frozenset(),
    RefundState.TAKING_BACK: frozenset({RefundState.RETURNING_MONEY, RefundState.REFUSED}),
    RefundState.RETURNING_MONEY: frozenset({RefundState.AWAITING_PAYOUT, RefundState.DONE, RefundState.FAILED}),
    RefundState.AWAITING_PAYOUT: frozenset({RefundState.DONE}),
    RefundState.DONE: frozenset(),
    RefundState.REFUSED: frozenset(),
    RefundState.FAILED: frozenset(),
}

#: The states in which a process has to go on with it; in the others that are not final, a person has to.
UNDER_WAY = (RefundState.TAKING_BACK, RefundState.RETURNING_MONEY)
#: The states in which no other refund of the order may begin.
ACTIVE = tuple(state for state, following in _NEXT.items() if following)
#: The states that have changed nothing, and never will.
VAIN = (RefundState.REFUSED, RefundState.REJECTED)


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
        lines: pieces of which lines (``line_id``, ``quantity``, ``credits``); None for the rest of the order, or for
            money only.
        money_only: an amount is given back, and nothing that was bought is taken back.
        left_minor: what is left of what was paid once the money is given back.
        approved_by: whoever agreed or did not, if it needed a second person.
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
    lines: Sequence[Mapping[str, Any]] | None = None
    money_only: bool = False
    left_minor: int = 0
    approved_by: str | None = None
    decided_at: datetime | None = None

    @property
    def amount(self) -> Money:
        """What is to be given back."""
        return Money(self.amount_minor, self.currency)

    @property
    def credits_of_lines(self) -> list[dict[str, Any]] | None:
        """The credits that are to be taken back, by line; None for all that there are; empty for none."""
        if self.money_only:
            return []
        if self.lines is None:
            return None
        return [{"line_id": line["line_id"], "credits": line["credits"]} for line in self.lines if line["credits"]]


@dataclass(frozen=True, slots=True)
class Share:
    """What of an order a refund is for; the fields are those of `Refund`."""

    amount_minor: int
    left_minor: int
    lines: Sequence[Mapping[str, Any]] | None = None
    money_only: bool = False


def share_of(
    order: Order, earlier: Sequence[Refund], lines: Sequence[Mapping[str, Any]] | None, amount: Money | None
) -> Share:
    """What a refund is for: pieces of some lines, an amount, or all that is left.

    Pieces cost what they cost with their tax; of a line that does not divide evenly, the shares of all its pieces are
    its total to the minor unit, in whatever steps they are given back.

    Args:
        order: a paid one.
        earlier: its refunds.
        lines: pieces (``line_id``, ``quantity``) of its lines.
        amount: money only.

    Raises:
        Refusal: `currency_differs`; `line_not_found`; `quantity_exceeds_order`; `refund_exceeds_payment`;
            `refund_takes_all` for an amount that leaves nothing.
    """
    counted = [refund for refund in earlier if refund.state not in VAIN]
    left = order.total_minor - sum(refund.amount_minor for refund in counted)
    if lines is not None:
        pieces = [_pieces(order, counted, line) for line in lines]
        wanted = sum(minor for minor, _ in pieces)
        chosen: Sequence[Mapping[str, Any]] | None = [line for _, line in pieces]
    else:
        wanted, chosen = (left, None) if amount is None else (amount.amount_minor, None)
    if amount is not None and amount.currency != order.currency:
        raise invalid("currency_differs", f"This order is in {order.currency}.", "amount.currency")
    if wanted > left or wanted <= 0:
        raise conflict(
            "refund_exceeds_payment", f"{Money(left, order.currency)} are left to give back, and no more.",
            extra={"left": Money(left, order.currency).as_dict()},
        )  # fmt: skip
    if amount is not None and wanted == left:
        raise conflict(
            "refund_takes_all", "This is all that is left: leave the amount out, so that what was bought is taken back."
        )
    return Share(wanted, left - wanted, chosen, amount is not None)


def _pieces(
    order: Order, earlier: Sequence[Refund], wanted: Mapping[str, Any]
) -> tuple[int, dict[str, Any]]:  # fmt: skip
    line = next((line for line in order.lines if line.id == wanted["line_id"]), None)
    if line is None:
        raise invalid("line_not_found", "The order has no such line.", "lines")
    before = sum(
        each["quantity"] for refund in earlier for each in refund.lines or () if each["line_id"] == line.id
    )  # fmt: skip
    quantity = wanted["quantity"]
    if before + quantity > line.quantity:
        raise conflict(
            "quantity_exceeds_order", f"{line.quantity - before} of {line.name} are left to give back, and no more."
        )
    total = line.total_minor + line.tax_minor
    minor = total * (before + quantity) // line.quantity - total * before // line.quantity
    return minor, {"line_id": line.id, "quantity": quantity, "credits": line.credits * quantity}


def check_refundable(order: Order) -> None:
    """Refuse to refund an order that cannot be.

    Everything of it must have been handed over first: what credits has not brought yet it could not take back.

    Raises:
        Refusal: `order_not_paid`, `order_refunded`, `order_disputed`, `order_has_problem`, `order_not_handed_over`.
    """
    if order.paid_at is None:
        raise conflict("order_not_paid", "This order was not paid: there is nothing to give back.")
    if order.state is State.REFUNDED:
        raise conflict("order_refunded", "This order was refunded before.")
    if order.dispute is not None and order.dispute.state is not DisputeState.WON:
        raise conflict(
            "order_disputed",
            "The payment of this order is disputed, or that was lost: the money is not here to be given back.",
        )
    if order.problem is not None:
        raise conflict("order_has_problem", "Something is wrong with this order. Look at it first.")
    if not order.awaits_nothing:
        raise conflict(
            "order_not_handed_over", "What was bought is still being handed over. Ask again in a moment."
        )  # fmt: skip
