"""The statement: how a balance came about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chassis.identity import Identity
from chassis.persistence.paging import decode_cursor
from credits.bootstrap import App
from credits.storage import ledger
from kernel.errors import invalid

_LONGEST_SEQUENCE = 18  # digits that surely fit into the database's 64 bits


def list_entries(
    app: App, caller: Identity, *, limit: int, cursor: str | None, since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A page of the statement of the caller's organisation, newest first.

    Args:
        app: the service's parts.
        caller: any user of the organisation.
        limit: entries at most.
        cursor: `next` of the page before, or None.
        since, until: only entries from the one moment on and before the other.

    Raises:
        Refusal: `invalid_cursor`.
    """
    if cursor is not None:
        _require_sequence(decode_cursor(cursor))
    with app.database.reading() as reader:
        account = ledger.organization_account(caller.organization_id)
        items, following = ledger.entries(reader, account, limit, cursor, since=since, until=until)
    return {"items": items, "next": following}


def _require_sequence(text: str) -> None:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_SEQUENCE):
        raise invalid("invalid_cursor", "Use the cursor exactly as `next` gave it.", "cursor")
