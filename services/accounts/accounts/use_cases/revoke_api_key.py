"""Stop an API key."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.messages import CREDENTIAL_REVOKED
from chassis.identity import Identity
from kernel.errors import not_found


def revoke_api_key(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Stop an API key of the caller's organisation and tell every gateway. Safe to repeat.

    Raises:
        Refusal: `forbidden`: the caller is no admin; `not_found`.
    """
    caller.require("admin")
    with app.database.transaction() as transaction:
        key = storage.api_key(transaction, id, caller.organization_id)
        if key is None:
            raise not_found("API key")
        if storage.revoke_api_key(transaction, id):
            transaction.audit(caller, "api_key.revoked", id, caller.organization_id, name=key["name"])
            transaction.emit(CREDENTIAL_REVOKED, {"credential_digest": key["digest"]})
    return {}
