"""Show what support a deployment has."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def get_coverage(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """A deployment that the caller may name, with the contracts that are bound to it, whoever bought them.

    Raises:
        Refusal: `not_found`: there is none, or it is somebody else's.
    """
    with app.database.reading() as reader:
        found = _answers.deployments(reader, storage.deployments(reader, caller.organization_id, [id]))
        if not found:
            raise not_found("deployment")
        contracts = storage.contracts_of(reader, id)
    return {"deployment": found[0], "contracts": [dict(row) for row in contracts]}
