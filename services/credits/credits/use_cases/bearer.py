"""Whether somebody who shows a number and a code may have the card: one answer of "no", whatever the reason.

Whatever is wrong (unknown number, wrong, malformed or unopenable code, a card that is claimed, recalled, frozen or
expired), the same steps run before the same refusal, so that neither its text nor its time tells one from another. The
failure is counted; who has too many must wait, whatever comes next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chassis.identity import Identity
from chassis.persistence import Reader, network_of, subject
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.binding import Binding
from credits.domain.cards import CardState
from credits.use_cases.views import state_of
from kernel.errors import Kind, Refusal, conflict

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


def require_bound_to(card: Mapping[str, Any], caller: Identity) -> None:
    """Refuse whom a card is not for. Only who has shown that they have the card is told, and not whom it is for: this
    comes after `Bearer.require_claimable`.

    Raises:
        Refusal: `card_not_for_you`.
    """
    binding = Binding(card["bound_organization_number"], card["bound_mail_domain"])
    if not binding.allows(caller.organization_number, caller.email):
        raise conflict("card_not_for_you", "This card can be claimed by others only. Ask its issuer.")


def read_bearer(app: App, number: str, sealed_code: str) -> Bearer:
    """What somebody shows, with the code reduced to its MAC at once."""
    try:
        code = app.opener.open(sealed_code)
    except ValueError:
        code = ""  # goes on like any wrong code
    canonical = codes.canonical_number(number)
    return Bearer(canonical, codes.code_mac(app.code_pepper, canonical, code))


class Guesses:
    """The failures of whoever shows a number and a code: of the organisation, and of the address.

    Args:
        app: the service's parts.
        caller: who shows them.
        client_address: where from.
    """

    def __init__(self, app: App, caller: Identity, client_address: str) -> None:
        self._app = app
        self._subjects = (
            subject("organization", caller.organization_id),
            subject("address", network_of(client_address)),
        )

    def check(self, reader: Reader) -> None:
        """Refuse who has failed too often, before anything is looked at.

        Raises:
            Refusal: `too_many_attempts`.
        """
        self._app.throttle.check(reader, self._subjects)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the failure if the block ends with one. The block's own transaction is rolled back by then.

        Raises:
            Refusal: whatever the block raises; `too_many_attempts` if others failed meanwhile and it is one too many.
        """
        try:
            yield
        except NotClaimable:
            with self._app.database.transaction() as transaction:
                self._app.throttle.fail(transaction, self._subjects)
            raise


class NotClaimable(Refusal):
    """`card_not_claimable`."""


def not_claimable() -> NotClaimable:
    """The one refusal."""
    return NotClaimable(
        Kind.INVALID,
        "card_not_claimable",
        "This card number and claim code do not belong to a card that can be claimed. Check both, or ask its issuer.",
    )
