"""The credits of an organisation while somebody works with them: locked, without what has expired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.persistence import Reader, Transaction
from credits.domain.drawing import Lot, draw
from credits.storage import ledger
from credits.use_cases.balance_alert import alert_if_low
from kernel.errors import Refusal, conflict
from kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an organisation can use at the moment.

    Args:
        account: the organisation's.
        lots: with something left and in time, in the order in which they are used.
    """

    account: str
    lots: Sequence[Lot]

    @property
    def balance(self) -> int:
        """All that can be used."""
        return sum(lot.left for lot in self.lots)

    def require(self, credits: int) -> None:
        """Refuse unless there are as many.

        Raises:
            Refusal: `insufficient_credits` with the balance.
        """
        if self.balance < credits:
            raise insufficient(self.balance)

    def take(
        self, tx: Transaction, kind: str, *, credits: int, cause: str, destination: str, memo: str
    ) -> str:  # fmt: skip
        """Move credits out of the account, from the lots in their order; the caller has asked `require`.

        Args:
            tx: the one that has locked the account.
            kind, cause, destination, memo: as for `ledger.post`.
            credits: how many.

        Returns:
            The ledger transaction's id.

        Raises:
            ValueError: there are not so many.
            IntegrityError: the cause was posted before (with the next statement or the commit).
        """
        uses = draw(credits, self.lots)
        posted = ledger.post(
            tx, kind, cause=cause, source=self.account, destination=destination, amount=credits, memo=memo
        )
        ledger.use_lots(tx, posted, uses)
        before = self.balance
        alert_if_low(tx, ledger.owner_of(self.account), posted, before, before - credits)
        return posted


def insufficient(balance: int) -> Refusal:
    """There are not so many credits."""
    return conflict("insufficient_credits", f"The organization has {balance} credits.", extra={"balance": balance})


def look(reader: Reader, organization_id: str) -> Holdings:
    """What an organisation can use, for showing it. One statement, so that it is of one moment."""
    account = ledger.organization_account(organization_id)
    return Holdings(account, [lot for lot in ledger.lots(reader, account) if not lot.is_due(reader.now)])


def lock(tx: Transaction, organization_id: str) -> Holdings:
    """What an organisation can use; nobody else adds or takes until the transaction ends. What has expired is posted
    on the way, so that the balance after each entry of the statement is what could be used then.

    Who locks cards too locks them first.
    """
    account = ledger.organization_account(organization_id)
    # the lock comes first: what is read after it stays true until the end
    lots = ledger.lots(tx, account) if ledger.lock_account(tx, account) else []
    holding = Holdings(account, [lot for lot in lots if not lot.is_due(tx.now)])
    due = [lot for lot in lots if lot.is_due(tx.now)]
    expired = [_expire(tx, account, lot) for lot in due]
    if expired:
        before = holding.balance + sum(lot.left for lot in due)
        alert_if_low(tx, organization_id, expired[-1], before, holding.balance)
    return holding


def alert_of_loss(tx: Transaction, organization_id: str, entry_id: str, credits: int) -> None:
    """Alert, if the balance fell below its threshold as credits left by an entry from lots that the caller chose."""
    after = look(tx, organization_id).balance
    alert_if_low(tx, organization_id, entry_id, after + credits, after)


def _expire(tx: Transaction, account: str, lot: Lot) -> str:
    cause = f"expiry:lot:{lot.id}"
    if ledger.is_posted(tx, cause):  # the rest of it expired before, and a hold has returned this
        cause = f"{cause}/{new_id('exp')}"
    posted = ledger.post(
        tx, "expiry", cause=cause, source=account, destination=ledger.EXPIRY, amount=lot.left,
        memo="Credits expired",
    )  # fmt: skip
    ledger.use_lots(tx, posted, {lot.id: lot.left})
    return posted
