"""Find a deployment."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.text import folded
from accounts.use_cases import _answers
from chassis.identity import Identity


def search_deployments(app: App, caller: Identity, *, q: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the deployments, own and managed, whose id begins with `q` or whose name contains it, by id.

    Args:
        app: the parts.
        caller: who asks; sees the deployments of the own organisation and of those that it manages.
        q: any case; `%` and `_` are plain characters; empty for all.
        limit: at most so many.
        cursor: `next` of the page before.

    Raises:
        Refusal: `invalid_cursor`.
    """
    with app.database.reading() as reader:
        rows, following = storage.page_of_deployments(reader, caller.organization_id, folded(q), limit, cursor)
        return {"items": _answers.deployments(reader, rows), "next": following}
