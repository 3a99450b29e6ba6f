"""Make a deployment known."""

from __future__ import annotations

from datetime import date

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.deployments import State, check_id
from accounts.domain.text import folded
from accounts.use_cases._look_alikes import neighbours, note_look_alikes
from chassis.identity import Identity
from kernel.errors import conflict, not_found


def register_deployment(
    app: App,
    *,
    id: str,
    organization_id: str,
    name: str,
    registered_on: date,
    state: State = State.ACTIVE,
    caller: Identity | None = None,
) -> str:
    """Register a deployment and note its look-alikes. Safe to repeat: one that exists stays as it is.

    Args:
        app: the parts.
        id: 1 to 12 digits such as ``14181336``.
        organization_id: the owner, an organisation that exists.
        name: for people.
        registered_on: the day on which it was registered.
        state: a retired one is listed, but nothing new may be bound to it.
        caller: who of staff does it; None for the composition root.

    Returns:
        The id.

    Raises:
        Refusal: `deployment_id_invalid`; `not_found` organisation; `deployment_taken`: it belongs to another one.
    """
    check_id(id)
    with app.database.transaction() as transaction:
        if storage.organization(transaction, organization_id, lock=True) is None:
            raise not_found("organisation")
        others = storage.deployment_names(transaction, neighbours(transaction, organization_id))
        values = {
            "id": id, "organization_id": organization_id, "name": name, "name_folded": folded(name),
            "registered_on": registered_on, "state": str(state),
        }  # fmt: skip
        if transaction.insert_new(storage.DEPLOYMENT, values):
            transaction.audit(caller, "deployment.registered", id, organization_id, name=name)
            note_look_alikes(transaction, [(id, name)], others)
        elif (storage.deployment(transaction, id) or {}).get("organization_id") != organization_id:
            raise conflict("deployment_taken", "This deployment belongs to another organisation.")
    return id
