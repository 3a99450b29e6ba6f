"""Bind a card, so that only one organisation, or people of one mail domain, can claim it."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain.binding import is_mail_domain
from credits.domain.cards import CardState
from credits.messages import CardChanged
from credits.storage import cards
from credits.storage.cards import CardRow
from credits.use_cases.own_cards import change_card, require_state
from credits.use_cases.views import card_view
from kernel.errors import invalid

_ANSWER = CardChanged()


def bind_card(
    app: App, caller: Identity, *, idempotency_key: str, card_id: str, organization_number: str | None,
    mail_domain: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Say who may claim a card. Whether there is such an organisation is not told: nobody learns numbers by binding.

    Args:
        app: the service's parts.
        caller: a buyer or admin of the issuer.
        idempotency_key: the client's; scoped to the organisation.
        card_id: the card.
        organization_number: of the one organisation that may claim it.
        mail_domain: of the mail addresses of those who may; both None: anybody again.

    Raises:
        Refusal: as `change_card`; `not_a_mail_domain`; `card_claimed`, `card_recalled`, `card_expired`, `card_split`.
    """
    change = {
        "bound_organization_number": organization_number,
        "bound_mail_domain": mail_domain.lower().removeprefix("@") if mail_domain else None,
    }
    if change["bound_mail_domain"] and not is_mail_domain(change["bound_mail_domain"]):
        raise invalid("not_a_mail_domain", "This is not the part behind the @ of a mail address.", "mail_domain")

    def bind(tx: Transaction, card: CardRow) -> dict[str, Any]:
        require_state(card, tx, CardState.ISSUED, CardState.FROZEN)
        cards.change(tx, card["id"], change)
        return {"card": card_view({**card, **change}, caller.organization_id, tx.now)}

    return change_card(
        app, caller, "bound", bind, idempotency_key=idempotency_key, card_id=card_id, answered=_ANSWER,
        wish={"organization_number": organization_number, "mail_domain": change["bound_mail_domain"]},
    )  # fmt: skip
