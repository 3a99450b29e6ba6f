"""List tickets: an organisation's own, or the queue of support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chassis.identity import STAFF, Identity
from support import storage
from support.bootstrap import App
from support.domain.preflight import READERS
from support.domain.tickets import LIVE
from support.use_cases import views

_LIVE = tuple(str(state) for state in LIVE)


def list_tickets(
    app: App, caller: Identity, *, state: str | None, deployment_id: str | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """A page of the tickets of the caller's organisation, newest first.

    Raises:
        Refusal: `forbidden`, `invalid_cursor`.
    """
    caller.require(*READERS)
    filters = {
        "organization_id": (caller.organization_id,), "state": _only(state), "deployment_id": _only(deployment_id)
    }  # fmt: skip
    return _page(app, filters, limit, cursor, newest_first=True)


def list_queue(
    app: App,
    caller: Identity,
    *,
    state: str | None,
    organization_id: str | None,
    deployment_id: str | None,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """A page of anybody's tickets, the one that has waited longest first; those that are open unless told otherwise.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    filters = {
        "state": _LIVE if state is None else (state,), "organization_id": _only(organization_id),
        "deployment_id": _only(deployment_id),
    }  # fmt: skip
    return _page(app, filters, limit, cursor, newest_first=False)


def _only(value: str | None) -> tuple[str] | None:
    return None if value is None else (value,)


def _page(
    app: App, filters: Mapping[str, Sequence[str] | None], limit: int, cursor: str | None, *, newest_first: bool
) -> dict[str, Any]:
    with app.database.reading() as reader:
        tickets, following = storage.page_of_tickets(reader, filters, limit, cursor, newest_first=newest_first)
        asked = storage.asked_overruns(reader, [ticket.id for ticket in tickets])
    return {"items": [views.summary(ticket, asked.get(ticket.id)) for ticket in tickets], "next": following}
