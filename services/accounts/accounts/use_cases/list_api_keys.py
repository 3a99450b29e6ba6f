"""Show the organisation's API keys."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity


def list_api_keys(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the organisation's API keys that are good, newest first.

    Raises:
        Refusal: `forbidden`: the caller is no admin; `invalid_cursor`.
    """
    caller.require("admin")
    with app.database.reading() as reader:
        rows, following = storage.page_of_api_keys(reader, caller.organization_id, limit, cursor)
    return {"items": [_answers.api_key(row) for row in rows], "next": following}
