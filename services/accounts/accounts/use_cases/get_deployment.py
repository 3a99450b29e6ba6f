"""Show a deployment."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def get_deployment(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """A deployment of the caller's organisation or of one that it manages, with what is bound to it.

    Raises:
        Refusal: `not_found`: there is none, or it is somebody else's.
    """
    with app.database.reading() as reader:
        found = _answers.deployments(reader, storage.deployments(reader, caller.organization_id, [id]))
        if not found:
            raise not_found("deployment")
        bound = storage.entitlements(reader, id)
    return {**found[0], "entitlements": [_answers.entitlement(row) for row in bound]}
