"""Whether somebody who shows a number and a code may have the card: one answer of "no", whatever the reason.

Whatever is wrong (unknown number, wrong, malformed or unopenable code, a card that is claimed, recalled, frozen or
expired), the same steps run before the same refusal, so that neither its text nor its time tells one from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import CardState
from credits.use_cases.views import state_of
from kernel.errors import Kind, Refusal

_NO_MAC = "0" * 64


@dataclass(frozen=True, slots=True)
class Bearer:
    """What somebody shows: the canonical number, and the MAC that the code would have on that card."""

    number: str
    code_mac: str = field(repr=False)

    def require_claimable(self, card: Mapping[str, Any] | None, now: datetime) -> Mapping[str, Any]:
        """The card, if this bearer may claim it now.

        Args:
            card: what is stored under the number, if anything.
            now: when.

        Raises:
            Refusal: `card_not_claimable`.
        """
        authentic = codes.same_mac(self.code_mac, card["code_mac"] if card else _NO_MAC)
        ready = card is not None and state_of(card, now) is CardState.ISSUED
        if card is None or not (authentic and ready):
            raise not_claimable()
        return card


def read_bearer(app: App, number: str, sealed_code: str) -> Bearer:
    """What somebody shows, with the code reduced to its MAC at once."""
    try:
        code = app.opener.open(sealed_code)
    except ValueError:
        code = ""  # goes on like any wrong code
    canonical = codes.canonical_number(number)
    return Bearer(canonical, codes.code_mac(app.code_pepper, canonical, code))


def not_claimable() -> Refusal:
    """The one refusal."""
    return Refusal(
        Kind.INVALID,
        "card_not_claimable",
        "This card number and claim code do not belong to a card that can be claimed. Check both, or ask its issuer.",
    )
