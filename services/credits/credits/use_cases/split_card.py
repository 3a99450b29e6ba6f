"""Split a card into several smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.identity import Identity
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import CardState
from credits.domain.splitting import MOST_PARTS, is_split_of
from credits.messages import Split
from credits.storage import cards, ledger
from credits.storage.cards import CardRow
from credits.use_cases.making_cards import make_card, order_of
from credits.use_cases.own_cards import change_card, require_state
from credits.use_cases.views import card_view
from kernel.errors import invalid

_ANSWER = Split()
#: What the parts have from the card that they were.
_INHERITED = (
    "order_line_id", "expires_at", "credits_valid_days", "bound_organization_number", "bound_mail_domain", "remind_at",
)  # fmt: skip


def split_card(
    app: App, caller: Identity, *, idempotency_key: str, card_id: str, credits: Sequence[int]
) -> dict[str, Any]:
    """Make several cards of one that nobody has claimed. Each has a number and a code of its own, which are mailed to
    the buyer; its code is dead. The parts expire when it would have, and are bound as it was.

    Args:
        app: the service's parts.
        caller: a buyer or admin of the issuer.
        idempotency_key: the client's; scoped to the organisation.
        card_id: the card.
        credits: of each part; together as many as the card has.

    Raises:
        Refusal: as `change_card`; `not_a_split`: the parts do not add up; `card_frozen`, `card_claimed`,
            `card_recalled`, `card_expired`, `card_split`.
    """

    def split(tx: Transaction, card: CardRow) -> dict[str, Any]:
        require_state(card, tx, CardState.ISSUED)
        if not is_split_of(card["credits"], credits):
            raise invalid(
                "not_a_split",
                f"Name 2 to {MOST_PARTS} parts that have {card['credits']} credits together.",
                "credits",
            )
        made = _make_parts(app, tx, card, credits)
        cards.change(tx, card["id"], {"state": CardState.SPLIT})  # last: a trigger looks whether the parts add up
        whole = {**card, "state": CardState.SPLIT}
        return {
            "card": card_view(whole, caller.organization_id, tx.now),
            "cards": [
                card_view(part, caller.organization_id, tx.now)
                for part in cards.find_cards(tx, caller.organization_id, made)
            ],
        }

    return change_card(
        app, caller, "split", split, idempotency_key=idempotency_key, card_id=card_id, answered=_ANSWER,
        wish={"credits": list(credits)},
    )  # fmt: skip


def _make_parts(app: App, tx: Transaction, card: CardRow, credits: Sequence[int]) -> list[str]:
    order, sequence = order_of(card), cards.last_sequence(tx, card["order_line_id"])
    inherited = {name: card[name] for name in _INHERITED}
    made = []
    for number, amount in enumerate(credits, 1):
        values = {
            **inherited, "credits": amount, "sequence": sequence + number, "parent_id": card["id"],
            "root_id": card["root_id"] or card["id"],
        }  # fmt: skip
        part = make_card(app, tx, order, values)
        ledger.post(
            tx, "split", cause=f"split:{part['card_id']}", source=ledger.card_account(card["id"]),
            destination=ledger.card_account(part["card_id"]), amount=amount, order_id=card["order_id"],
            card_id=part["card_id"], memo=f"Card {codes.masked(card['number'])} split",
        )  # fmt: skip
        made.append(part["card_id"])
    return made
