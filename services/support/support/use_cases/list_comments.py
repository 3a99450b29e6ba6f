"""List what was written about a ticket."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from support import storage
from support.bootstrap import App
from support.domain.preflight import READERS
from support.use_cases import views


def list_comments(app: App, caller: Identity, *, id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of it, oldest first; the internal ones for staff only.

    Raises:
        Refusal: `forbidden`; `not_found`; `invalid_cursor`.
    """
    caller.require(*READERS, *STAFF)
    with app.database.reading() as reader:
        views.existing(storage.read_ticket(reader, id, views.scope_of(caller)))
        rows, following = storage.page_of_comments(reader, id, limit, cursor, with_internal=caller.role in STAFF)
    return {"items": [views.comment(row) for row in rows], "next": following}
