"""Take back what an order brought, before its money is given back (mission, clause 30)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.identity import Identity
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import CardState
from credits.domain.drawing import Lot
from credits.messages import CARD_RECALLED
from credits.storage import cards, ledger, reversals
from credits.use_cases import holdings
from credits.use_cases.views import card_ended
from kernel.errors import conflict

#: What to do about credits that somebody has claimed or spent.
REFUSE, REFUND_ANYWAY = "refuse", "refund_anyway"


@dataclass(frozen=True, slots=True)
class _Brought:
    """What became of an order's credits.

    Args:
        organization_id: whose order it was; None if it brought no credits.
        cards: all of the order, locked.
        lots: the credits that came to the organisation itself, by grant or by recalling a card; locked.
        expired_lots: how many of those have expired.
    """

    organization_id: str | None
    cards: Sequence[Mapping[str, Any]]
    lots: Sequence[Lot]
    expired_lots: int

    def on_cards(self, *states: CardState) -> int:
        """The credits of the order's cards in some states."""
        return sum(card["credits"] for card in self.cards if card["state"] in states)

    @property
    def spent(self) -> int:
        """The credits that the organisation had and that have left it by being used."""
        return sum(lot.amount - lot.left for lot in self.lots) - self.expired_lots


def take_back_order(
    app: App, caller: Identity | None, *, refund_id: str, order_id: str, claimed: str
) -> dict[str, Any]:
    """Recall the order's unclaimed cards and take back its unspent credits, in one step. Safe to ask again.

    The locks on the cards decide between a refund and a claim: whoever has them first wins, and the other finds a card
    that is not to be had. The caller returns the money only after this has said yes.

    Args:
        app: the service's parts.
        caller: finance or a superuser; None for a service acting on its own (cart's process manager).
        refund_id: the refund; asked again under the same id, it answers what it did.
        order_id: the order, all of whose credits have come.
        claimed: ``refuse`` if anything was claimed or spent, or ``refund_anyway``: that stays with whoever has it.

    Raises:
        Refusal: `forbidden`; `credits_in_use` with how many are claimed and spent; `already_taken_back` by another
            refund.
    """
    if caller is not None:
        caller.require("finance", "superuser")
    with app.database.transaction() as tx:
        if not reversals.begin(tx, refund_id, order_id):
            known = reversals.find(tx, refund_id)
            if known is None:
                raise conflict("already_taken_back", "The credits of this order were taken back for another refund.")
            return dict(known)
        brought = _lock(tx, order_id)
        in_use = {"claimed": brought.on_cards(CardState.CLAIMED), "spent": brought.spent}
        if claimed == REFUSE and any(in_use.values()):
            raise conflict(
                "credits_in_use",
                f"{in_use['claimed']} credits of this order are claimed and {in_use['spent']} are spent. "
                "Decide about them: refund anyway, or not at all.",
                extra=in_use,
            )
        expired = brought.on_cards(CardState.EXPIRED) + brought.expired_lots
        reversals.finish(tx, refund_id, {**in_use, "expired": expired, "taken_back": _take(tx, order_id, brought)})
        return dict(reversals.find(tx, refund_id) or {})


def _lock(tx: Transaction, order_id: str) -> _Brought:
    """First the cards, then the account: the order in which everybody locks them."""
    locked = cards.lock_of_order(tx, order_id)
    organization_id = cards.credited_organization(tx, order_id)
    if organization_id is None:
        return _Brought(None, locked, (), 0)
    account = holdings.lock(tx, organization_id).account
    lots = ledger.lots(tx, account, order_id=order_id, open_only=False)
    expired = sum(uses.get("expiry", 0) for uses in ledger.used_of(tx, [lot.id for lot in lots]).values())
    return _Brought(organization_id, locked, lots, expired)


def _take(tx: Transaction, order_id: str, brought: _Brought) -> int:
    taken = 0
    for card in brought.cards:
        if cards.end(tx, card["id"], CardState.RECALLED):
            taken += card["credits"]
            ledger.post(
                tx, "reversal", cause=f"reversal:card:{card['id']}", source=ledger.card_account(card["id"]),
                destination=ledger.ISSUANCE, amount=card["credits"], order_id=order_id, card_id=card["id"],
                memo=f"Card {codes.masked(card['number'])} recalled, order refunded",
            )  # fmt: skip
            tx.emit(CARD_RECALLED, {**card_ended(card), "recalled_at": tx.now, "reason": "refund"})
    for lot in brought.lots:
        if lot.left and brought.organization_id is not None:
            taken += lot.left
            posted = ledger.post(
                tx, "reversal", cause=f"reversal:lot:{lot.id}", order_id=order_id, memo="Order refunded",
                source=ledger.organization_account(brought.organization_id), destination=ledger.ISSUANCE,
                amount=lot.left,
            )  # fmt: skip
            ledger.use_lots(tx, posted, {lot.id: lot.left})
    return taken
