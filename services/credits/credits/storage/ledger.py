"""The ledger: accounts, transactions, balances. What makes it right is in the database; this only speaks to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Transaction
from chassis.persistence.paging import page
from credits.storage.tables import LEDGER_ACCOUNT, LEDGER_TRANSACTION, POSTING
from kernel.ids import new_id

#: The account all credits come from; made by the first migration.
ISSUANCE = "issuance:punchcard"


def organization_account(organization_id: str) -> str:
    """The id of an organisation's account."""
    return f"organization:{organization_id}"


def card_account(card_id: str) -> str:
    """The id of a card's account, which holds its credits until it is claimed."""
    return f"card:{card_id}"


def open_account(tx: Transaction, account_id: str) -> str:
    """Open a bounded account unless it is open; its id."""
    kind, owner_id = account_id.split(":", 1)
    tx.insert_new(LEDGER_ACCOUNT, {"id": account_id, "kind": kind, "owner_id": owner_id, "bounded": True})
    return account_id


def post(
    tx: Transaction, kind: str, *, cause: str, source: str, destination: str, amount: int, memo: str,
    order_id: str | None = None, card_id: str | None = None,
) -> None:  # fmt: skip
    """Move credits from one account to another.

    Args:
        tx: where; the accounts stay locked until it ends.
        kind: grant, issue or claim.
        cause: what for; one cause posts once, ever.
        source: the account they leave.
        destination: the account they reach.
        amount: whole credits, positive.
        memo: a line for the statement.
        order_id: the order they come from, if any.
        card_id: the card they are on or were on, if any.

    Raises:
        sqlalchemy.exc.IntegrityError: the cause was posted before, or a balance would become negative.
    """
    tx.execute(
        sa.insert(LEDGER_TRANSACTION).values(
            id=new_id("ltx"), kind=kind, cause=cause, source_id=source, destination_id=destination, amount=amount,
            memo=memo, order_id=order_id, card_id=card_id, occurred_at=tx.now,
        )
    )  # fmt: skip


def balance(reader: Reader, account_id: str) -> int:
    """The credits of a bounded account: the balance after its newest posting; 0 without one."""
    newest = POSTING.c.sequence.desc()
    statement = sa.select(POSTING.c.balance_after).where(POSTING.c.account_id == account_id).order_by(newest).limit(1)
    return int(reader.scalar(statement) or 0)


def entries(
    reader: Reader, account_id: str, limit: int, cursor: str | None
) -> tuple[Sequence[sa.RowMapping], str | None]:
    """An account's statement, newest first, and the cursor of the next page.

    Raises:
        Refusal: `invalid_cursor`.
    """
    transaction = LEDGER_TRANSACTION.c
    statement: sa.Select[Any] = (
        sa.select(
            POSTING.c.sequence, POSTING.c.amount, POSTING.c.balance_after, transaction.id, transaction.kind,
            transaction.memo, transaction.occurred_at, transaction.order_id, transaction.card_id,
        )
        .join(LEDGER_TRANSACTION, transaction.id == POSTING.c.transaction_id)
        .where(POSTING.c.account_id == account_id)
    )  # fmt: skip
    return page(reader, statement, POSTING.c.sequence, limit, cursor)


def brought_by_orders(reader: Reader, limit: int, cursor: str | None) -> tuple[Sequence[sa.RowMapping], str | None]:
    """A page of the transactions by which orders brought credits (grants, cards), newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    transaction = LEDGER_TRANSACTION.c
    statement = sa.select(
        transaction.id, transaction.order_id, transaction.card_id, transaction.cause, transaction.amount
    ).where(transaction.kind.in_(("grant", "issue")))
    return page(reader, statement, transaction.id, limit, cursor)
