"""Guessing is slow: who has failed too often of late is refused before anybody looks whether the next guess is right.

Failures are counted in the database of the service that owns the secret, so that every process of it counts together.
A subject is whatever guesses come from or go to: an address, an organisation, an e-mail address. Only a digest of it is
stored: people type passwords into the wrong field.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

import sqlalchemy as sa

from chassis.persistence.database import Reader, Transaction
from chassis.persistence.statements import Statement, any_of
from chassis.persistence.tables import UtcDateTimeColumn
from kernel.errors import Kind, Refusal

#: What one customer's line at home gets of IPv6 (RFC 6177); within it an address is anybody's to choose.
_IPV6_PREFIX = 64


def failure_table(metadata: sa.MetaData) -> sa.Table:
    """The table in which a service counts, made part of its metadata."""
    return sa.Table("recent_failure", metadata, *failure_columns(), sa.Index("recent_failure_last", "last_failed_at"))


def failure_columns() -> list[sa.Column[object]]:
    """Its columns, for the migration that makes it."""
    return [
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("failed_at", sa.Text, nullable=False),  # the newest ones, as JSON: Unix time in milliseconds
        sa.Column("last_failed_at", UtcDateTimeColumn, nullable=False),
    ]


def subject(kind: str, value: str) -> str:
    """What is counted for `value`, such as ``subject("address", network_of("192.0.2.7"))``."""
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or the network that its owner chooses IPv6 addresses from."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))


class Throttle:
    """Counts failures.

    Args:
        table: of `failure_table`.
        limit: so many of a subject are answered as usual within a window; the next is refused, right or wrong.
        window: how long a failure counts.
    """

    def __init__(self, table: sa.Table, limit: int, window: timedelta = timedelta(minutes=10)) -> None:
        self._table = table
        self._limit = limit
        self._window = window
        # asked of every card checkout, so it is built and prepared once
        self._counted = Statement(sa.select(table.c.failed_at).where(any_of(table.c.subject, "subjects")))

    def check(self, reader: Reader, subjects: Sequence[str]) -> None:
        """Refuse who has failed too often. Call it before anything is looked at.

        Raises:
            Refusal: `too_many_attempts`, with the seconds to wait.
        """
        self.check_counted(reader, [row["failed_at"] for row in reader.all(self._counted, subjects=subjects)])

    def check_counted(self, reader: Reader, counted: Iterable[str | None]) -> None:
        """The same, by the column ``failed_at`` of subjects that were read already; None of one that never failed.

        Raises:
            Refusal: as `check` does.
        """
        self._refuse_if_full(reader, [self._recent(reader, stored) for stored in counted if stored is not None])

    def fail(self, transaction: Transaction, subjects: Sequence[str]) -> None:
        """Count one failure of each subject; of many at once, no more than `limit` get past this.

        Args:
            transaction: one of its own: it must commit whatever becomes of the request that failed.
            subjects: of `subject`.

        Raises:
            Refusal: `too_many_attempts`: meanwhile others have used up what was left.
        """
        counted = {}
        for each in sorted(subjects):  # always in the same order, so that no two wait for each other
            row = {"subject": each, "failed_at": "[]", "last_failed_at": transaction.now}
            transaction.insert_new(self._table, row)
            stored = transaction.scalar(
                sa.select(self._table.c.failed_at).where(self._table.c.subject == each).with_for_update()
            )
            counted[each] = self._recent(transaction, stored)
        self._refuse_if_full(transaction, list(counted.values()))
        for each, recent in counted.items():
            transaction.execute(
                sa.update(self._table)
                .where(self._table.c.subject == each)
                .values(failed_at=json.dumps([*recent, _milliseconds(transaction)]), last_failed_at=transaction.now)
            )

    def _recent(self, reader: Reader, stored: str) -> list[int]:
        """The moments that still count, oldest first."""
        limit = _milliseconds(reader) - self._window // timedelta(milliseconds=1)
        return [moment for moment in json.loads(stored) if moment > limit]

    def _refuse_if_full(self, reader: Reader, counted: Sequence[list[int]]) -> None:
        full = [recent[-self._limit] for recent in counted if len(recent) >= self._limit]
        if full:
            over_at = max(full) + self._window // timedelta(milliseconds=1)
            wait_s = max(1, math.ceil((over_at - _milliseconds(reader)) / 1000))
            raise Refusal(
                Kind.TOO_MANY,
                "too_many_attempts",
                "Too many attempts have failed. Wait before the next one.",
                extra={"retry_after_s": wait_s},
            )


def _milliseconds(reader: Reader) -> int:
    return int(reader.now.timestamp() * 1000)
