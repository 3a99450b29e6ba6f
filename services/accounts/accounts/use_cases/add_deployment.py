"""Register a deployment of a customer."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from accounts.use_cases.register_deployment import register_deployment
from chassis.identity import Identity


def add_deployment(app: App, caller: Identity, *, organization_id: str, id: str, name: str) -> dict[str, Any]:
    """Register a deployment as of today. Safe to repeat: one that the organisation has stays as it is.

    Args:
        app: the parts.
        caller: support, or a superuser.
        organization_id: the customer's.
        id: 1 to 12 digits.
        name: for people.

    Raises:
        Refusal: `forbidden`; `deployment_id_invalid`; `not_found` organisation; `deployment_taken`.
    """
    caller.require("support", "superuser")
    today = app.database.clock.now().date()
    register_deployment(app, id=id, organization_id=organization_id, name=name, registered_on=today, caller=caller)
    with app.database.reading() as reader:
        return _answers.deployments(reader, storage.deployments(reader, organization_id, [id]))[0]
