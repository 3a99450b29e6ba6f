"""Show a ticket."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from support import storage
from support.bootstrap import App
from support.domain.preflight import READERS, STAFF
from support.domain.tickets import State
from support.use_cases import views


def get_ticket(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """A ticket of the caller's organisation; to staff, anybody's.

    Raises:
        Refusal: `forbidden`; `not_found`, also for one that was refused.
    """
    caller.require(*READERS, *STAFF)
    with app.database.reading() as reader:
        ticket = views.existing(storage.read_ticket(reader, id, views.scope_of(caller)))
        return views.whole(reader, views.existing(None if ticket.state is State.REFUSED else ticket).id)
