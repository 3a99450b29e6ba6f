"""The ledger: accounts, transactions, balances. What makes it right is in the database; this only speaks to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction
from chassis.persistence.paging import page
from chassis.persistence.statements import insertion_if_new
from credits.domain.drawing import Lot, spending_order
from credits.storage.tables import LEDGER_ACCOUNT, LEDGER_TRANSACTION, LOT_USE, POSTING
from kernel.ids import new_id

#: The account all credits come from, and go back to when they are taken back. Migrations made these three.
ISSUANCE = "issuance:punchcard"
#: Where spent credits go.
USAGE = "usage:punchcard"
#: Where the credits go that nobody claimed, or used, in time.
EXPIRY = "expiry:punchcard"
#: Transactions that bring credits back to the lots they came from, and are no lots themselves.
RETURNS = ("release", "give_back")
#: What is known of a lot by the transaction that brought it.
_OF_LOT = tuple(
    LEDGER_TRANSACTION.c[name]
    for name in ("kind", "cause", "memo", "occurred_at", "expires_at", "free", "order_id", "card_id")
)
#: The lines of statements: postings with what their transactions say.
_ENTRIES: sa.Select[Any] = sa.select(
    POSTING.c.sequence, POSTING.c.amount, POSTING.c.balance_after, LEDGER_TRANSACTION.c.id, LEDGER_TRANSACTION.c.kind,
    LEDGER_TRANSACTION.c.memo, LEDGER_TRANSACTION.c.occurred_at, LEDGER_TRANSACTION.c.order_id,
    LEDGER_TRANSACTION.c.card_id, LEDGER_TRANSACTION.c.expires_at,
).join(LEDGER_TRANSACTION, LEDGER_TRANSACTION.c.id == POSTING.c.transaction_id)  # fmt: skip


def organization_account(organization_id: str) -> str:
    """The id of an organisation's account."""
    return f"organization:{organization_id}"


def owner_of(account_id: str) -> str:
    """The organisation or card that an account is of."""
    return account_id.split(":", 1)[1]


def card_account(card_id: str) -> str:
    """The id of a card's account, which holds its credits until it is claimed."""
    return f"card:{card_id}"


def hold_account(hold_id: str) -> str:
    """The id of the account that has what is held."""
    return f"hold:{hold_id}"


def open_account(tx: Transaction, account_id: str) -> str:
    """Open a bounded account unless it is open; its id."""
    kind, owner_id = account_id.split(":", 1)
    account = {"id": account_id, "kind": kind, "owner_id": owner_id, "bounded": True}
    tx.write(insertion_if_new(LEDGER_ACCOUNT, tuple(account)), **account)
    return account_id


def post(
    tx: Transaction, kind: str, *, cause: str, source: str, destination: str, amount: int, memo: str,
    order_id: str | None = None, card_id: str | None = None, expires_at: datetime | None = None, free: bool = False,
) -> str:  # fmt: skip
    """Move credits from one account to another.

    Args:
        tx: where; the accounts stay locked until it ends.
        kind: grant, issue, claim, recall, split, spend, expiry, reversal, adjustment, hold, release or give_back.
        cause: what for; one cause posts once, ever.
        source: the account they leave.
        destination: the account they reach.
        amount: whole credits, positive.
        memo: a line for the statement.
        order_id: the order they come from, if any.
        card_id: the card they are on or were on, if any.
        expires_at: from when on the lot that comes of it cannot be used; None: never.
        free: whether staff gave them, rather than somebody paid for them.

    Returns:
        The transaction's id.

    Raises:
        IntegrityError: the cause was posted before, or a balance would become negative (with the next statement or the
            commit).
    """
    transaction_id = new_id("ltx")
    tx.insert(
        LEDGER_TRANSACTION,
        {"id": transaction_id, "kind": kind, "cause": cause, "source_id": source, "destination_id": destination,
         "amount": amount, "memo": memo, "order_id": order_id, "card_id": card_id, "occurred_at": tx.now,
         "expires_at": expires_at, "free": free},
    )  # fmt: skip
    return transaction_id


def lock_account(tx: Transaction, account_id: str) -> bool:
    """Have nobody else post to an account until the transaction ends; False if it was never opened."""
    lock = sa.select(LEDGER_ACCOUNT.c.id).where(LEDGER_ACCOUNT.c.id == account_id).with_for_update(key_share=True)
    return tx.scalar(lock) is not None


def lots(reader: Reader, account_id: str, *, order_id: str | None = None, open_only: bool = True) -> list[Lot]:
    """The lots of an organisation's account, in the order in which they are used.

    Args:
        reader: where; one that has locked the account if something is to be drawn.
        account_id: the account they came to.
        order_id: only those that came of this order.
        open_only: leave out those of which nothing is left.
    """
    transaction = LEDGER_TRANSACTION.c
    used = sa.func.coalesce(
        sa.select(sa.func.sum(LOT_USE.c.amount)).where(LOT_USE.c.lot_id == transaction.id).scalar_subquery(), 0
    )
    statement = (
        sa.select(
            transaction.id,
            POSTING.c.sequence,
            transaction.amount,
            used.label("used"),
            transaction.expires_at,
            transaction.free,
        )
        .join(POSTING, POSTING.c.transaction_id == transaction.id)
        .where(POSTING.c.account_id == account_id, POSTING.c.amount > 0, transaction.kind.not_in(RETURNS))
    )
    if order_id is not None:
        statement = statement.where(transaction.order_id == order_id)
    found = spending_order(
        Lot(row["id"], row["sequence"], row["amount"], row["amount"] - int(row["used"]), row["expires_at"], row["free"])
        for row in reader.all(statement)
    )
    return [lot for lot in found if lot.left] if open_only else found


def accounts_with_due_lots(reader: Reader, most: int) -> list[str]:
    """Accounts of organisations that hold credits whose time is over."""
    transaction = LEDGER_TRANSACTION.c
    used = sa.select(sa.func.coalesce(sa.func.sum(LOT_USE.c.amount), 0)).where(LOT_USE.c.lot_id == transaction.id)
    due = (transaction.expires_at <= reader.now, transaction.amount > used.scalar_subquery())
    statement = sa.select(transaction.destination_id).where(*due).distinct().limit(most)
    return [row["destination_id"] for row in reader.all(statement)]


def use_lots(tx: Transaction, transaction_id: str, uses: Mapping[str, int]) -> None:
    """Note which lots the credits of a transaction came from.

    Args:
        tx: the one that has posted the transaction.
        transaction_id: what took the credits.
        uses: by lot, how many.

    Raises:
        IntegrityError: a lot has not so many left, or its time is over.
    """
    values = [{"lot_id": lot, "transaction_id": transaction_id, "amount": amount} for lot, amount in uses.items()]
    tx.execute(sa.insert(LOT_USE), values)


def return_to_lots(tx: Transaction, transaction_id: str, returned: Mapping[str, int]) -> None:
    """Note to which lots the credits of a transaction went back: a use the other way round.

    Args:
        tx: the one that has posted the transaction, a release or a giving back.
        transaction_id: what brought them.
        returned: by lot, how many.

    Raises:
        IntegrityError: more than was used of a lot.
    """
    use_lots(tx, transaction_id, {lot: -amount for lot, amount in returned.items()})


def is_posted(reader: Reader, cause: str) -> bool:
    """Whether something was posted for a cause."""
    found = sa.select(LEDGER_TRANSACTION.c.id).where(LEDGER_TRANSACTION.c.cause == cause)
    return reader.scalar(found) is not None


def posted_for(reader: Reader, causes: Iterable[str]) -> dict[str, Row]:
    """The id and the amount of what was posted for some causes, by cause."""
    transaction = LEDGER_TRANSACTION.c
    found = sa.select(transaction.cause, transaction.id, transaction.amount).where(transaction.cause.in_(list(causes)))
    return {row["cause"]: row for row in reader.all(found)}


def used_of(reader: Reader, lot_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """By lot and kind of transaction, how many credits left it; for lots of which any did."""
    by_kind = (
        sa.select(LOT_USE.c.lot_id, LEDGER_TRANSACTION.c.kind, sa.func.sum(LOT_USE.c.amount).label("amount"))
        .join(LEDGER_TRANSACTION, LEDGER_TRANSACTION.c.id == LOT_USE.c.transaction_id)
        .where(LOT_USE.c.lot_id.in_(list(lot_ids)))
        .group_by(LOT_USE.c.lot_id, LEDGER_TRANSACTION.c.kind)
    )
    found: dict[str, dict[str, int]] = {}
    for row in reader.all(by_kind):
        found.setdefault(row["lot_id"], {})[row["kind"]] = int(row["amount"])
    return found


def balance(reader: Reader, account_id: str) -> int:
    """The credits of a bounded account: the balance after its newest posting; 0 without one."""
    newest = POSTING.c.sequence.desc()
    statement = sa.select(POSTING.c.balance_after).where(POSTING.c.account_id == account_id).order_by(newest).limit(1)
    return int(reader.scalar(statement) or 0)


def entries(
    reader: Reader, account_id: str, limit: int, cursor: str | None, *, since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Sequence[Row], str | None]:  # fmt: skip
    """An account's statement, newest first, and the cursor of the next page.

    Args:
        reader: where.
        account_id: whose.
        limit: entries at most.
        cursor: where the page before ended.
        since, until: only what occurred from the one moment on and before the other.

    Raises:
        Refusal: `invalid_cursor`.
    """
    statement = _ENTRIES.where(POSTING.c.account_id == account_id)
    if since is not None:
        statement = statement.where(LEDGER_TRANSACTION.c.occurred_at >= since)
    if until is not None:
        statement = statement.where(LEDGER_TRANSACTION.c.occurred_at < until)
    return page(reader, statement, POSTING.c.sequence, limit, cursor)


def find_entry(reader: Reader, entry_id: str, account_id: str | None) -> Row | None:
    """An entry of a statement, with the account it is of and what the transaction says; None if it is not there.

    Args:
        reader: where.
        entry_id: its id.
        account_id: whose it must be; None for any organisation's.
    """
    statement = _ENTRIES.add_columns(POSTING.c.account_id, LEDGER_TRANSACTION.c.cause, LEDGER_TRANSACTION.c.free)
    statement = statement.where(LEDGER_TRANSACTION.c.id == entry_id, POSTING.c.sequence.is_not(None))
    if account_id is None:
        return reader.one(statement.where(POSTING.c.account_id.startswith("organization:")))
    return reader.one(statement.where(POSTING.c.account_id == account_id))


def moved_by(reader: Reader, transaction_id: str) -> list[Row]:
    """The lots of which a transaction took credits, or to which it returned some, with how many: negative if taken."""
    return list(
        reader.all(
            sa.select(
                LOT_USE.c.lot_id, (-LOT_USE.c.amount).label("credits"), *_OF_LOT
            )
            .join(LEDGER_TRANSACTION, LEDGER_TRANSACTION.c.id == LOT_USE.c.lot_id)
            .where(LOT_USE.c.transaction_id == transaction_id)
            .order_by(LEDGER_TRANSACTION.c.occurred_at, LOT_USE.c.lot_id)
        )
    )  # fmt: skip


def uses_of(reader: Reader, lot_id: str, most: int) -> list[Row]:
    """What happened to the credits of a lot, newest first: how many, negative if they left it, and by which entry."""
    transaction = LEDGER_TRANSACTION.c
    return list(
        reader.all(
            sa.select(
                transaction.id.label("entry_id"), transaction.kind, (-LOT_USE.c.amount).label("credits"),
                transaction.memo, transaction.occurred_at,
            )
            .join(LEDGER_TRANSACTION, transaction.id == LOT_USE.c.transaction_id)
            .where(LOT_USE.c.lot_id == lot_id)
            .order_by(transaction.occurred_at.desc(), transaction.id.desc())
            .limit(most)
        )
    )  # fmt: skip


def brought_by_orders(reader: Reader, limit: int, cursor: str | None) -> tuple[Sequence[Row], str | None]:
    """A page of the transactions by which orders brought credits (grants, cards), newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    transaction = LEDGER_TRANSACTION.c
    statement = sa.select(
        transaction.id, transaction.order_id, transaction.card_id, transaction.cause, transaction.amount
    ).where(transaction.kind.in_(("grant", "issue")), transaction.order_id.is_not(None))
    return page(reader, statement, transaction.id, limit, cursor)
