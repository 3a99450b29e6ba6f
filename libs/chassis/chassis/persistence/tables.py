"""The tables that the chassis keeps in every service's database, and the column types that both databases share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class UtcDateTimeColumn(TypeDecorator[datetime]):
    """A moment: refuses naive datetimes, gives back aware ones in UTC on PostgreSQL and SQLite alike."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime says nothing")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: The chassis' own view of its tables; a service's metadata gets a copy (`add_messaging_tables`).
METADATA = sa.MetaData()

OUTBOX = sa.Table(
    "outbox",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("correlation_id", sa.String(64), nullable=False),
    sa.Column("must_route", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("sent_at", UtcDateTimeColumn),
    sa.Index("outbox_unsent", "created_at", sqlite_where=sa.text("sent_at IS NULL"),
             postgresql_where=sa.text("sent_at IS NULL")),
    sa.Index("outbox_sent_at", "sent_at"),
)  # fmt: skip

INBOX = sa.Table(
    "inbox",
    METADATA,
    sa.Column("consumer", sa.String(150), primary_key=True),
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("handled_at", UtcDateTimeColumn, nullable=False),
)

DEAD_LETTER = sa.Table(
    "dead_letter",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("queue", sa.String(150), nullable=False),
    sa.Column("event_id", sa.String(64)),
    sa.Column("cause", sa.String(100), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("parked_at", UtcDateTimeColumn, nullable=False),
    sa.Column("replayed_at", UtcDateTimeColumn),
)

IDEMPOTENCY_KEY = sa.Table(
    "idempotency_key",
    METADATA,
    sa.Column("scope", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("subject_id", sa.String(64)),
    sa.Column("answer", sa.Text),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
)


def audit_columns() -> list[sa.Column[Any]]:
    """The table's columns, for it and for the migration that makes it."""
    return [
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("happened_at", UtcDateTimeColumn, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject_id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64)),  # whom it concerns
        sa.Column("actor_id", sa.String(64)),  # nobody: the store itself
        sa.Column("actor_email", sa.String(254)),
        sa.Column("actor_role", sa.String(20)),
        sa.Column("details", sa.Text, nullable=False),  # JSON
        sa.Column("correlation_id", sa.String(64), nullable=False),
    ]


AUDIT_ENTRY = sa.Table(
    "audit_entry",
    sa.MetaData(),  # not the messaging tables': first migrations make all of those, and this one came later
    *audit_columns(),
    sa.Index("audit_entry_of_organization", "organization_id", "id"),
    sa.Index("audit_entry_of_subject", "subject_id", "id"),
)


def add_messaging_tables(metadata: sa.MetaData) -> None:
    """Make the chassis' tables part of a service's metadata, which its migrations create."""
    for table in (*METADATA.tables.values(), AUDIT_ENTRY):
        table.to_metadata(metadata)
