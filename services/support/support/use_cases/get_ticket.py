"""Show a ticket."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from support import storage
from support.bootstrap import App
from support.domain.preflight import READERS
from support.use_cases import views


def get_ticket(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """A ticket of the caller's organisation; to staff, anybody's. One whose credits could not be held says so: whoever
    was told to wait for it must learn what became of it. Lists leave it out.

    Raises:
        Refusal: `forbidden`; `not_found`.
    """
    caller.require(*READERS, *STAFF)
    with app.database.reading() as reader:
        return views.whole(reader, views.existing(storage.read_ticket(reader, id, views.scope_of(caller))).id)
