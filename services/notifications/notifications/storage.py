"""The deliveries: one row a mail, from the event that caused it to the mail server's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Statement, Transaction, UtcDateTimeColumn, add_messaging_tables
from chassis.persistence.paging import page
from chassis.persistence.statements import any_of, insertion_if_new
from kernel.clock import CLOCKS_DIFFER
from notifications.domain.deliveries import LONGEST_DELAY, MailKind, State

METADATA = sa.MetaData()
add_messaging_tables(METADATA)

DELIVERY = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("cause", sa.String(150), nullable=False, unique=True),
    sa.Column("order_id", sa.String(64)),
    sa.Column("recipient", sa.String(320), nullable=False),
    sa.Column("language", sa.String(35), nullable=False),
    sa.Column("message_id", sa.String(400), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),  # JSON of the event's data; a claim code is sealed in it
    sa.Column("correlation_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),  # begun, not only ended; tells one claim from the next
    sa.Column("next_attempt_at", UtcDateTimeColumn, nullable=False),  # while being sent: when the claim lapses
    sa.Column("last_error", sa.String(100)),
    sa.Column("queued_at", UtcDateTimeColumn, nullable=False),
    sa.Column("sent_at", UtcDateTimeColumn),
    sa.CheckConstraint("state IN ('queued', 'sent', 'failed')", name="deliveries_state"),
    sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="deliveries_sent_at"),
    sa.Index("deliveries_order_id", "order_id"),
    sa.Index("deliveries_due", "next_attempt_at", sqlite_where=sa.text("state = 'queued'"),
             postgresql_where=sa.text("state = 'queued'")),
)  # fmt: skip


#: Kept for as long as a receipt may wait for one, or be tried.
INVOICE_NUMBER = sa.Table(
    "invoice_numbers",
    METADATA,
    sa.Column("order_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.String(32), nullable=False),
    sa.Column("noted_at", UtcDateTimeColumn, nullable=False),
)


def add_delivery(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Queue a mail, unless there is one for the same cause."""
    tx.write(insertion_if_new(DELIVERY, tuple(values)), **values)


_DUE = (
    sa.select(DELIVERY.c.id)
    .where(
        DELIVERY.c.state == State.QUEUED,
        sa.or_(
            DELIVERY.c.next_attempt_at <= sa.bindparam("now", type_=UtcDateTimeColumn),
            # later than any mail waits: the clock that it is from was wrong, and it holds nobody
            DELIVERY.c.next_attempt_at > sa.bindparam("no_delay", type_=UtcDateTimeColumn),
            sa.and_(
                DELIVERY.c.last_error.is_(None),
                DELIVERY.c.next_attempt_at > sa.bindparam("no_lease", type_=UtcDateTimeColumn),
            ),
            sa.and_(
                DELIVERY.c.kind == MailKind.RECEIPT,
                DELIVERY.c.attempts == 0,
                sa.exists().where(INVOICE_NUMBER.c.order_id == DELIVERY.c.order_id),
            ),
        ),
    )
    .order_by(DELIVERY.c.next_attempt_at, DELIVERY.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
    .with_for_update(skip_locked=True)
    .cte("due")  # evaluated once, which a subquery with a limit need not be
)
#: Asked when a receipt is about to be sent: the number may have come while the mail was being queued. Not a subquery of
#: the claim, since SQLite evaluates one in RETURNING once for all rows.
_NUMBERS = Statement(
    sa.select(INVOICE_NUMBER.c.order_id, INVOICE_NUMBER.c.number).where(any_of(INVOICE_NUMBER.c.order_id, "order_ids"))
)
_CLAIM = Statement(
    sa.update(DELIVERY)
    .where(DELIVERY.c.id == _DUE.c.id)
    .values(attempts=DELIVERY.c.attempts + 1, next_attempt_at=sa.bindparam("lapses_at", type_=UtcDateTimeColumn))
    .returning(DELIVERY)
)
_MARK_SENT = Statement(
    sa.update(DELIVERY)
    .where(any_of(DELIVERY.c.id, "ids"), DELIVERY.c.state != State.SENT)
    .values(state=State.SENT, sent_at=sa.bindparam("now", type_=UtcDateTimeColumn), last_error=None)
)


def note_invoice(tx: Transaction, order_id: str, number: str) -> None:
    """Keep the number of an order's invoice."""
    values = {"order_id": order_id, "number": number, "noted_at": tx.now}
    tx.write(insertion_if_new(INVOICE_NUMBER, tuple(values)), **values)


def claim_due(ask: Callable[..., Sequence[Row]], now: datetime, lease: timedelta, most: int) -> list[Row]:
    """Take the mails that have been due for longest, so that nobody else sends them before the lease lapses. A receipt
    that waits for the number of its invoice is due as soon as that is there.

    Args:
        ask: runs a statement, `Transaction.all` or `Database.at_once`; commits before the mails are sent, so that no
            lock is held meanwhile.
        now: the moment.
        lease: longer than the sending may take; a sender that dies is succeeded after that.
        most: how many.

    Returns:
        The deliveries with the `invoice_number` of their order, if it is known; `attempts` already counting the attempt
        that is about to begin; the fewer the earlier, so that what was tried in vain does not stand before what was not
        tried yet.
    """
    times = {
        "now": now,
        "lapses_at": now + lease,
        "no_lease": now + lease + CLOCKS_DIFFER,
        "no_delay": now + max(lease, LONGEST_DELAY) + CLOCKS_DIFFER,
    }
    rows = sorted(ask(_CLAIM, **times, most=most), key=lambda row: (row["attempts"], row["id"]))
    of_receipts = [row["order_id"] for row in rows if row["kind"] == MailKind.RECEIPT]
    found = ask(_NUMBERS, order_ids=of_receipts) if of_receipts else ()
    numbers = {row["order_id"]: row["number"] for row in found}
    return [{**row, "invoice_number": numbers.get(row["order_id"])} for row in rows]


def hand_back(tx: Transaction, claimed: Sequence[Row]) -> None:
    """Undo claims of which no attempt has begun, unless they have lapsed and another attempt has begun since."""
    for delivery in claimed:
        mark_not_sent(tx, delivery, {"attempts": delivery["attempts"] - 1, "next_attempt_at": tx.now})


def mark_sent(tx: Transaction, delivery_ids: Sequence[str]) -> None:
    """The mail server has taken these mails: nothing that another attempt says can change that."""
    tx.write(_MARK_SENT, ids=list(delivery_ids), now=tx.now)


def mark_not_sent(tx: Transaction, claimed: Row, values: Mapping[str, Any]) -> None:
    """Note how an attempt ended, unless the claim has lapsed and another attempt has begun since.

    Args:
        tx: where to write.
        claimed: the delivery as `claim_due` gave it.
        values: what becomes of state, next_attempt_at, last_error.
    """
    tx.execute(
        sa.update(DELIVERY)
        .where(
            DELIVERY.c.id == claimed["id"],
            DELIVERY.c.state == State.QUEUED,
            DELIVERY.c.attempts == claimed["attempts"],
        )
        .values(**values)
    )


def list_deliveries(
    reader: Reader, *, cause_prefix: str | None, order_id: str | None, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """One page of deliveries, newest first, without their payloads.

    Raises:
        Refusal: `invalid_cursor`.
    """
    shown = ("id", "kind", "cause", "recipient", "state", "attempts", "queued_at", "sent_at", "last_error")
    select = sa.select(*(DELIVERY.c[name] for name in shown))
    if cause_prefix is not None:
        select = select.where(DELIVERY.c.cause.startswith(cause_prefix, autoescape=True))
    if order_id is not None:
        select = select.where(DELIVERY.c.order_id == order_id)
    return page(reader, select, DELIVERY.c.id, limit, cursor)
