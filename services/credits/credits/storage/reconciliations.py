"""What reconciliations of the whole store have found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Transaction
from chassis.persistence.paging import page
from credits.storage.tables import RECONCILIATION
from kernel.ids import new_id


def add(tx: Transaction, found: Mapping[str, Any]) -> str:
    """Keep one; its id."""
    reconciliation_id = new_id("rec")
    texts = {name: json.dumps(found[name], separators=(",", ":")) for name in ("looked_at", "breaks")}
    tx.insert(RECONCILIATION, {**found, **texts, "id": reconciliation_id})
    return reconciliation_id


def listed(reader: Reader, limit: int, cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """A page of them, newest first.

    Raises:
        Refusal: `invalid_cursor`.
    """
    rows, following = page(reader, sa.select(RECONCILIATION), RECONCILIATION.c.id, limit, cursor)
    return [_read(row) for row in rows], following


def newest(reader: Reader) -> Row | None:
    """When the last one ended, and how many breaks it found: ended_at, breaks_count."""
    columns = (RECONCILIATION.c.ended_at, RECONCILIATION.c.breaks_count)
    return reader.one(sa.select(*columns).order_by(RECONCILIATION.c.ended_at.desc()).limit(1))


def _read(row: Row) -> dict[str, Any]:
    return {**row, "looked_at": json.loads(row["looked_at"]), "breaks": json.loads(row["breaks"])}
