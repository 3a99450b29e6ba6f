"""The dispute of an order's payment: the payer's bank takes it back, for now or for good (mission, clause 30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class DisputeState(StrEnum):
    """Where a dispute stands. The values are stored and public: never rename one."""

    OPEN = "open"  # the bank has the money until the network has decided
    WON = "won"  # for us: the money is here again
    LOST = "lost"  # the payer has it


class DisputeProblem(Exception):
    """There is another dispute of the order. Nobody can settle that but a person: the message is parked."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute; the fields are the columns of its row (see `cart.storage.ORDER_DISPUTE`).

    Args:
        amount_minor: what is disputed, in the order's currency.
        captured_minor: what was charged.
        reason: the network's code; None until the opening is known, which may be told after the end.
        told: the state that the others were told; None before what was bought has brought its credits.
    """

    id: str
    order_id: str
    state: DisputeState
    amount_minor: int
    captured_minor: int
    reason: str | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    told: DisputeState | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Dispute:
        """What an event of payments says of a dispute: that it was opened, or how it was closed."""
        return cls(
            id=told["dispute_id"],
            order_id=told["order_id"],
            state=DisputeState(told.get("outcome", DisputeState.OPEN)),
            amount_minor=told["amount"]["amount_minor"],
            captured_minor=told["captured"]["amount_minor"],
            reason=told.get("reason"),
            opened_at=told.get("opened_at"),
            closed_at=told.get("closed_at"),
        )

    def news(self, said: Dispute) -> dict[str, Any]:
        """What changes by another event, in whatever order and however often they come.

        Raises:
            DisputeProblem: it is about another dispute.
        """
        if said.id != self.id:
            raise DisputeProblem(f"order {self.order_id} has the disputes {self.id} and {said.id}")
        if said.state is DisputeState.OPEN:
            return {} if self.opened_at else {"reason": said.reason, "opened_at": said.opened_at}
        return {} if self.closed_at else {"state": said.state, "closed_at": said.closed_at}

    def share(self, credits: int, refunded_minor: int) -> int | None:
        """How many of an order's credits may be taken back if it is lost: in proportion to the money, rounded down;
        None for all, if it takes all the money that was not given back before.

        Args:
            credits: all that the order brought.
            refunded_minor: what was given back.
        """
        if self.amount_minor >= self.captured_minor - refunded_minor:
            return None
        return credits * self.amount_minor // self.captured_minor
