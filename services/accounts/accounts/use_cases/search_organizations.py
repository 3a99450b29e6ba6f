"""Find a customer."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import STAFF_ROLES
from accounts.use_cases import _answers
from chassis.identity import Identity


def search_organizations(app: App, caller: Identity, *, q: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of organisations whose number or id is `q` or whose name contains it, newest first; for staff.

    Raises:
        Refusal: `forbidden`; `invalid_cursor`.
    """
    caller.require(*STAFF_ROLES)
    with app.database.reading() as reader:
        rows, following = storage.page_of_organizations(reader, q, limit, cursor)
    return {"items": [_answers.organization(row) for row in rows], "next": following}
