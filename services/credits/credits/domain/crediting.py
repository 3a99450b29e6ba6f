"""What a paid order brings: credits for the buyer's organisation, and cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: One credit is one minute of support (mission, clause 4).
MINUTES_PER_CREDIT = 1

ORGANIZATION = "organization"
SUPPORT_CARD = "support_card"


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits of a line that go to the buyer's organisation."""

    line_id: str
    credits: int
    memo: str
    valid_days: int | None = None  # as the catalogue says it; `validity.valid_days`

    @property
    def cause(self) -> str:
        """What the ledger posts once."""
        return f"order_line:{self.line_id}"


@dataclass(frozen=True, slots=True)
class NewCard:
    """One card of a line: each unit is a card of its own, numbered from 1 (mission, clause 5)."""

    line_id: str
    sequence: int
    credits: int
    memo: str
    valid_days: int | None = None  # as the catalogue says it; `validity.valid_days`

    @property
    def cause(self) -> str:
        """What the ledger posts once."""
        return f"order_line:{self.line_id}/{self.sequence}"


def line_of(cause: str) -> str:
    """The order line that a grant or a new card has in its cause."""
    return cause.removeprefix("order_line:").partition("/")[0]


def plan(order_number: str, lines: Sequence[Mapping[str, Any]]) -> tuple[list[Grant], list[NewCard]]:
    """The grants and the cards of an order's lines; lines without credits bring none.

    Args:
        order_number: for the memos.
        lines: each with id, sku, name, quantity, credits (a unit), credit_destination, credits_valid_days.
    """
    grants, cards = [], []
    for line in lines:
        if not line["credits"]:
            continue
        memo = f"{line['name']}, order {order_number}"
        days = line["credits_valid_days"]
        if line["credit_destination"] == ORGANIZATION:
            grants.append(Grant(line["id"], line["quantity"] * line["credits"], f"{line['quantity']} x {memo}", days))
        else:
            units = range(1, line["quantity"] + 1)
            cards += [NewCard(line["id"], sequence, line["credits"], memo, days) for sequence in units]
    return grants, cards
