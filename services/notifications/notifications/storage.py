"""The deliveries: one row a mail, from the event that caused it to the mail server's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Transaction, UtcDateTimeColumn, add_messaging_tables
from chassis.persistence.paging import page
from notifications.domain.deliveries import State

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


def add_delivery(tx: Transaction, values: Mapping[str, Any]) -> bool:
    """Queue a mail unless there is one for the same cause; whether it was queued."""
    return tx.insert_new(DELIVERY, values)


def claim_next(tx: Transaction, lease: timedelta) -> sa.RowMapping | None:
    """Take the mail that has been due for longest, so that nobody else sends it before the lease lapses.

    Args:
        tx: commits before the mail is sent, so that no lock is held meanwhile.
        lease: longer than one sending may take; a sender that dies is succeeded after that.

    Returns:
        The delivery, `attempts` already counting the attempt that is about to begin; None if nothing is due.
    """
    due = (
        sa.select(DELIVERY.c.id)
        .where(DELIVERY.c.state == State.QUEUED, DELIVERY.c.next_attempt_at <= tx.now)
        .order_by(DELIVERY.c.next_attempt_at, DELIVERY.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    claim = (
        sa.update(DELIVERY)
        .where(DELIVERY.c.id == due)
        .values(attempts=DELIVERY.c.attempts + 1, next_attempt_at=tx.now + lease)
        .returning(DELIVERY)
    )
    return tx.one(claim)


def mark_sent(tx: Transaction, delivery_id: str) -> None:
    """The mail server has taken the mail: nothing that another attempt says can change that."""
    tx.execute(
        sa.update(DELIVERY)
        .where(DELIVERY.c.id == delivery_id, DELIVERY.c.state != State.SENT)
        .values(state=State.SENT, sent_at=tx.now, last_error=None)
    )


def mark_not_sent(tx: Transaction, claimed: sa.RowMapping, values: Mapping[str, Any]) -> None:
    """Note how an attempt failed, unless the claim has lapsed and another attempt has begun since.

    Args:
        tx: where to write.
        claimed: the delivery as `claim_next` gave it.
        values: state, next_attempt_at, last_error.
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
) -> tuple[Sequence[sa.RowMapping], str | None]:
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
