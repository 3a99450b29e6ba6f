"""Keep a user from signing in."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.messages import CREDENTIAL_REVOKED
from chassis.identity import Identity
from kernel.errors import conflict, not_found


def deactivate_user(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Deactivate a user of the caller's organisation: history stays, sessions and API keys stop at once.

    Args:
        app: the parts.
        caller: an admin, or a superuser of the platform's own organisation.
        id: the user's. Safe to repeat.

    Raises:
        Refusal: `forbidden`; `not_found`; `cannot_deactivate_self`, which also keeps the last admin.
    """
    caller.require("admin", "superuser")
    if id == caller.user_id:
        raise conflict("cannot_deactivate_self", "Ask another admin to deactivate you.")
    with app.database.transaction() as transaction:
        user = storage.user(transaction, id, lock=True)
        if user is None or user["organization_id"] != caller.organization_id:
            raise not_found("user")
        if user["deactivated_at"] is None:
            storage.deactivate(transaction, id)
            for digest in storage.credential_digests(transaction, id):
                transaction.emit(CREDENTIAL_REVOKED, {"credential_digest": digest})
            storage.end_sessions(transaction, id)
    return {}
