"""Take a deployment out of use."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.deployments import State
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def retire_deployment(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Let nothing new be bound to a deployment of the caller's own organisation. What is bound stays. Safe to repeat.

    Args:
        app: the parts.
        caller: an admin of the owner; who only manages the owner may not.
        id: the deployment's.

    Raises:
        Refusal: `forbidden`; `not_found`.
    """
    caller.require("admin")
    with app.database.transaction() as transaction:
        deployment = storage.deployment(transaction, id, lock=True)
        if deployment is None or deployment["organization_id"] != caller.organization_id:
            raise not_found("deployment")
        if deployment["state"] != State.RETIRED:
            storage.change_deployment(transaction, id, {"state": str(State.RETIRED)})
            transaction.audit(caller, "deployment.retired", id, caller.organization_id)
        return _answers.deployments(transaction, storage.deployments(transaction, caller.organization_id, [id]))[0]
