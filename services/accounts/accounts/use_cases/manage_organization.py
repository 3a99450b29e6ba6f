"""Let one organisation manage another, or let that end."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from accounts.use_cases._look_alikes import neighbours, note_look_alikes
from chassis.identity import Identity
from chassis.persistence import Row, Transaction
from kernel.errors import conflict, not_found


def manage_organization(app: App, caller: Identity, *, manager_id: str, managed_id: str) -> dict[str, Any]:
    """Let an organisation, such as a reseller, see and choose the deployments of another. Safe to repeat.

    It goes one way and one step: whoever is managed sees nothing of its manager, nor does the manager's manager see it.

    Args:
        app: the parts.
        caller: support, or a superuser.
        manager_id, managed_id: two customers' organisations.

    Returns:
        The managed organisation.

    Raises:
        Refusal: `forbidden`; `not_found`; `cannot_manage`: one of them is the platform's, they are the same, or the
            other one manages this one.
    """
    caller.require("support", "superuser")
    with app.database.transaction() as transaction:
        managed = manage(transaction, manager_id, managed_id, caller)
    return _answers.party(managed)


def manage(transaction: Transaction, manager_id: str, managed_id: str, caller: Identity | None) -> Row:
    """The same inside a transaction; the caller is None for the composition root."""
    # The managed one is locked first, as everywhere.
    managed = storage.organization(transaction, managed_id, lock=True)
    manager = storage.organization(transaction, manager_id, lock=True)
    if manager is None or managed is None:
        raise not_found("organisation")
    if manager_id == managed_id or manager["platform"] or managed["platform"]:
        raise conflict("cannot_manage", "A customer's organisation manages another customer's.")
    if manager_id in storage.managed(transaction, managed_id):
        raise conflict("cannot_manage", "The other organisation manages this one.")
    if storage.add_management(transaction, manager_id, managed_id):
        note_look_alikes(
            transaction,
            storage.deployment_names(transaction, [managed_id]),
            storage.deployment_names(transaction, neighbours(transaction, managed_id)),
        )
        transaction.audit(caller, "organization.management_began", managed_id, managed_id, manager_id=manager_id)
    return managed


def end_management(app: App, caller: Identity, *, manager_id: str, managed_id: str) -> dict[str, Any]:
    """Let it end: from now on the manager sees nothing of the other. What is bound stays bound. Safe to repeat.

    Raises:
        Refusal: `forbidden`; `not_found`.
    """
    caller.require("support", "superuser")
    with app.database.transaction() as transaction:
        managed = storage.organization(transaction, managed_id, lock=True)
        if managed is None or storage.organization(transaction, manager_id, lock=True) is None:
            raise not_found("organisation")
        if storage.end_management(transaction, manager_id, managed_id):
            transaction.audit(caller, "organization.management_ended", managed_id, managed_id, manager_id=manager_id)
    return _answers.party(managed)
