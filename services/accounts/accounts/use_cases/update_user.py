"""Change a user of the organisation: name, role, whether to sign in at all."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import MANAGERS, check_role
from accounts.messages import CREDENTIAL_REVOKED
from accounts.use_cases import _answers
from chassis.identity import Identity
from chassis.persistence import Row, Transaction
from kernel.errors import conflict, invalid, not_found


def update_user(app: App, caller: Identity, *, id: str, **changes: Any) -> dict[str, Any]:
    """Change a user. A new role, or none any more, ends the user's sessions; history stays.

    API keys act for the admin who made them: they stop for good when that admin is one no longer, or is deactivated.

    Args:
        app: the parts.
        caller: an admin, or a superuser of the platform's own organisation.
        id: the user's.
        changes: `name`, `role`, `active`; those that are missing stay. Safe to repeat.

    Raises:
        Refusal: `forbidden`; `not_found`; `role_invalid`; `nothing_to_change`; `cannot_deactivate_self`; `last_admin`:
            somebody must be able to manage the organisation.
    """
    caller.require(*MANAGERS)
    if not changes:
        raise invalid("nothing_to_change", "Name at least one field to change.")
    if changes.get("active") is False and id == caller.user_id:
        raise conflict("cannot_deactivate_self", "Ask another admin to deactivate you.")
    with app.database.transaction() as transaction:
        # The lock keeps two admins from taking each other's role at the same time.
        organization = storage.organization(transaction, caller.organization_id, lock=True)
        user = storage.user(transaction, id, lock=True)
        if organization is None or user is None or user["organization_id"] != caller.organization_id:
            raise not_found("user")
        if "role" in changes:
            check_role(changes["role"], platform=organization["platform"])
        values = _values(transaction, user, changes)
        if values:
            storage.change_user(transaction, id, values)
            _end_credentials(transaction, user, values)
            if storage.count_active(transaction, caller.organization_id, MANAGERS) == 0:
                raise conflict("last_admin", "This is the last admin. Make somebody else one first.")
            transaction.audit(caller, "user.changed", id, caller.organization_id, **changes)
        return _answers.user({**user, **values})


def _values(transaction: Transaction, user: Row, changes: dict[str, Any]) -> dict[str, Any]:
    """The columns that become other than they are."""
    wanted: dict[str, Any] = {name: changes[name] for name in ("name", "role") if name in changes}
    if "active" in changes and changes["active"] != (user["deactivated_at"] is None):
        wanted["deactivated_at"] = None if changes["active"] else transaction.now
    return {name: value for name, value in wanted.items() if value != user[name]}


def _end_credentials(transaction: Transaction, user: Row, values: dict[str, Any]) -> None:
    if "role" not in values and values.get("deactivated_at") is None:
        return
    ended = storage.session_digests(transaction, user["id"])
    storage.end_sessions(transaction, user["id"])
    if values.get("role", "admin") != "admin" or values.get("deactivated_at") is not None:
        ended += storage.revoke_keys(transaction, user["id"])
    for digest in ended:
        transaction.emit(CREDENTIAL_REVOKED, {"credential_digest": digest})
