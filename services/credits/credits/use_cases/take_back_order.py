"""Take back what an order brought, before its money is given back (mission, clause 30)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chassis.identity import Identity
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.cards import HOLDING, CardState
from credits.domain.drawing import Lot
from credits.messages import CARD_RECALLED
from credits.storage import cards, disputes, ledger, reversals
from credits.use_cases import holdings
from credits.use_cases.views import card_ended
from kernel.errors import conflict

#: What to do about credits that somebody has claimed or spent.
REFUSE, REFUND_ANYWAY = "refuse", "refund_anyway"


class Why(NamedTuple):
    """Why credits are taken back: as events have it, and as statements do."""

    reason: str
    memo: str


REFUND, PART = Why("refund", "Order refunded"), Why("refund", "Order partly refunded")
DISPUTE = Why("dispute", "Payment disputed and lost")


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of an order's credits.

    Args:
        order_id: the order.
        organization_id: whose order it was; None if it brought no credits.
        cards: all of the order, locked.
        lots: the credits that came to the organisation itself, by grant or by recalling a card; locked.
        expired_lots: how many of those have expired.
        reversed_lots: how many of those an earlier refund took back.
    """

    order_id: str
    organization_id: str | None
    cards: Sequence[Mapping[str, Any]]
    lots: Sequence[Lot]
    expired_lots: int
    reversed_lots: int = 0

    def on_cards(self, *states: CardState) -> int:
        """The credits of the order's cards in some states."""
        return sum(card["credits"] for card in self.cards if card["state"] in states)

    @property
    def spent(self) -> int:
        """The credits that the organisation had and that have left it by being used."""
        return sum(lot.amount - lot.left for lot in self.lots) - self.expired_lots - self.reversed_lots


def take_back_order(
    app: App,
    caller: Identity | None,
    *,
    refund_id: str,
    order_id: str,
    claimed: str,
    lines: Sequence[Mapping[str, Any]] | None = None,
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

        lines: only so many credits of these lines (``line_id``, ``credits``); None for all that the order brought.

    Raises:
        Refusal: `forbidden`; `credits_in_use` with how many are claimed and spent; `already_taken_back` by another
            refund; `order_disputed`; `card_not_divisible`: the cards that are left of a line are too large.
    """
    if caller is not None:
        caller.require("finance", "superuser")
    if lines is not None:
        return take_back_lines(app, refund_id, order_id, claimed, lines)
    with app.database.transaction() as tx:
        if not reversals.begin(tx, refund_id, order_id):
            known = reversals.find(tx, refund_id)
            if known is None:
                raise conflict("already_taken_back", "The credits of this order were taken back for another refund.")
            return dict(known)
        brought = lock_brought(tx, order_id)
        _refuse_disputed(tx, order_id)
        in_use = {"claimed": brought.on_cards(CardState.CLAIMED), "spent": brought.spent}
        refuse_in_use(claimed, in_use)
        expired = brought.on_cards(CardState.EXPIRED) + brought.expired_lots
        taken = take_unspent(tx, REFUND, refund_id, brought, brought.cards, brought.lots)
        reversals.finish(tx, refund_id, {**in_use, "expired": expired, "taken_back": taken})
        return dict(reversals.find(tx, refund_id) or {})


def lock_brought(tx: Transaction, order_id: str) -> Brought:
    """First the cards, then the account: the order in which everybody locks them."""
    locked = cards.lock_of_order(tx, order_id)
    organization_id = cards.credited_organization(tx, order_id)
    if organization_id is None:
        return Brought(order_id, None, locked, (), 0)
    account = holdings.lock(tx, organization_id).account
    lots = ledger.lots(tx, account, order_id=order_id, open_only=False)
    used = list(ledger.used_of(tx, [lot.id for lot in lots]).values())
    expired, reversed_before = (sum(uses.get(kind, 0) for uses in used) for kind in ("expiry", "reversal"))
    return Brought(order_id, organization_id, locked, lots, expired, reversed_before)


def _refuse_disputed(tx: Transaction, order_id: str) -> None:
    """What is frozen by a dispute is not a refund's: the payer's bank has the money, or decides who has it. Looked at
    under the locks under which a dispute freezes.

    Raises:
        Refusal: `order_disputed`.
    """
    if disputes.is_disputed(tx, order_id):
        raise conflict("order_disputed", "The payment of this order is disputed, so its credits cannot be taken back.")


def take_unspent(
    tx: Transaction, why: Why, cause: str, brought: Brought, of_cards: Iterable[Mapping[str, Any]],
    of_lots: Iterable[Lot], most: int | None = None, was_held: bool = False,
) -> int:  # fmt: skip
    """Take back what nobody has claimed or spent: unclaimed cards first, whole ones, then the balance.

    Args:
        tx: the one that has locked what the order brought.
        why: a refund or a dispute.
        cause: its id.
        brought: what the order brought.
        of_cards, of_lots: those of it that are to be taken.
        most: credits; None: all that there are.
        was_held: the lots were off the balance until now, so that it does not fall by this.

    Returns:
        How many were taken.
    """
    taken = 0
    unclaimed = [card for card in of_cards if card["state"] in HOLDING]
    for card in sorted(unclaimed, key=lambda each: (-each["credits"], each["id"])):
        if most is None or taken + card["credits"] <= most:
            taken += _recall(tx, why, card)
    for lot in of_lots:
        part = lot.left if most is None else min(lot.left, most - taken)
        if part and brought.organization_id is not None:
            taken += part
            posted = ledger.post(
                tx, "reversal", cause=f"reversal:{cause}:{lot.id}", order_id=brought.order_id, memo=why.memo,
                source=ledger.organization_account(brought.organization_id), destination=ledger.ISSUANCE, amount=part,
            )  # fmt: skip
            ledger.use_lots(tx, posted, {lot.id: part})
            if not was_held:
                holdings.alert_of_loss(tx, brought.organization_id, posted, part)
    return taken


def refuse_in_use(claimed: str, in_use: Mapping[str, int]) -> None:
    """Claimed or spent credits need a decision.

    Raises:
        Refusal: `credits_in_use`, if there is none.
    """
    if claimed == REFUSE and any(in_use.values()):
        raise conflict(
            "credits_in_use",
            f"{in_use['claimed']} credits of this order are claimed and {in_use['spent']} are spent. "
            "Decide about them: refund anyway, or not at all.",
            extra=in_use,
        )


def _recall(tx: Transaction, why: Why, card: Mapping[str, Any]) -> int:
    """Take back a locked card that nobody has claimed; its credits, 0 if it holds none."""
    if not cards.end(tx, card["id"], CardState.RECALLED):
        return 0
    ledger.post(
        tx, "reversal", cause=f"reversal:card:{card['id']}", source=ledger.card_account(card["id"]),
        destination=ledger.ISSUANCE, amount=card["credits"], order_id=card["order_id"], card_id=card["id"],
        memo=f"{why.memo}, card {codes.masked(card['number'])} recalled",
    )  # fmt: skip
    tx.emit(CARD_RECALLED, {**card_ended(card), "recalled_at": tx.now, "reason": why.reason})
    credits: int = card["credits"]
    return credits


def take_back_lines(
    app: App, refund_id: str, order_id: str, claimed: str, lines: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The same for some credits of some lines, all in one step: unclaimed cards first, whole ones, then the balance."""
    with app.database.transaction() as tx:
        if not reversals.begin_part(tx, refund_id, order_id):
            return dict(reversals.find(tx, refund_id) or {})
        brought = lock_brought(tx, order_id)
        _refuse_disputed(tx, order_id)
        if reversals.is_reversed(tx, order_id):
            raise conflict("already_taken_back", "The credits of this order were taken back for another refund.")
        found = Counter(dict.fromkeys(("taken_back", "claimed", "spent", "expired"), 0))
        for line in lines:
            found.update(_take_line(tx, refund_id, brought, line))
        refuse_in_use(claimed, {name: found[name] for name in ("claimed", "spent")})
        reversals.finish(tx, refund_id, found)
        return dict(reversals.find(tx, refund_id) or {})


def _take_line(tx: Transaction, refund_id: str, brought: Brought, line: Mapping[str, Any]) -> dict[str, int]:
    """What becomes of `credits` of a line: what can be had is taken, and what is left was expired, claimed or spent."""
    wanted = line["credits"]
    own = [card for card in brought.cards if card["order_line_id"] == line["line_id"]]
    causes = [f"order_line:{line['line_id']}", *(f"recall:{card['id']}" for card in own)]
    lot_ids = {row["id"] for row in ledger.posted_for(tx, causes).values()}
    lots = [lot for lot in brought.lots if lot.id in lot_ids]
    taken = take_unspent(tx, PART, refund_id, brought, own, lots, wanted)
    uses = ledger.used_of(tx, lot_ids) if lot_ids else {}
    gone = {
        "expired": sum(card["credits"] for card in own if card["state"] == CardState.EXPIRED)
        + sum(use.get("expiry", 0) for use in uses.values()),
        "claimed": sum(card["credits"] for card in own if card["state"] == CardState.CLAIMED),
        "spent": sum(
            amount for use in uses.values() for kind, amount in use.items() if kind not in ("expiry", "reversal")
        ),
    }
    found, rest = {"taken_back": taken}, wanted - taken
    for name, credits in gone.items():
        found[name] = min(rest, credits)
        rest -= found[name]
    if rest:
        raise conflict(
            "card_not_divisible",
            f"The cards that are left of this line cannot be taken back in part: {rest} credits would be missing.",
        )
    return found
