"""Show the organisations that one manages."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import READERS
from accounts.use_cases import _answers
from chassis.identity import Identity


def list_managed(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the organisations that the caller's manages, newest first.

    Raises:
        Refusal: `forbidden`; `invalid_cursor`.
    """
    caller.require(*READERS)
    with app.database.reading() as reader:
        rows, following = storage.page_of_managed(reader, caller.organization_id, limit, cursor)
    return {"items": [_answers.party(row) for row in rows], "next": following}
