"""Show the organisation's address book."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import READERS
from accounts.use_cases import _answers
from chassis.identity import Identity


def list_addresses(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the organisation's addresses, newest first.

    Raises:
        Refusal: `forbidden`; `invalid_cursor`.
    """
    caller.require(*READERS)
    with app.database.reading() as reader:
        rows, following = storage.page_of_addresses(reader, caller.organization_id, limit, cursor)
    return {"items": [_answers.address(row) for row in rows], "next": following}
