"""Show who was invited and has not accepted yet."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import MANAGERS
from accounts.use_cases import _answers
from chassis.identity import Identity


def list_invitations(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the organisation's open invitations, newest first.

    Raises:
        Refusal: `forbidden`; `invalid_cursor`.
    """
    caller.require(*MANAGERS)
    with app.database.reading() as reader:
        rows, following = storage.page_of_invitations(reader, caller.organization_id, limit, cursor)
    return {"items": [_answers.invitation(row) for row in rows], "next": following}
