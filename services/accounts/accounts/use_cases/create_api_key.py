"""Let a program act for the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import SCOPES, Identity
from kernel.errors import conflict
from kernel.ids import new_id


def create_api_key(
    app: App, caller: Identity, *, name: str, digest: str, last_four: str, scopes: Sequence[str] | None
) -> dict[str, Any]:
    """Keep the digest of a new API key that acts as the caller. The same digest again (a retry) is the same key.

    Args:
        app: the parts.
        caller: an admin.
        name: what people call the key.
        digest: SHA-256 of the key that the gateway made and shows once.
        last_four: the key's last four characters, to tell keys apart.
        scopes: what it may be used for; None for all that the caller may do.

    Raises:
        Refusal: `forbidden`; `scope_missing`: a restricted key makes a key that may do more; `digest_in_use`.
    """
    caller.require("admin")
    for scope in scopes or (() if caller.scopes is None else (None,)):
        caller.require_scope(scope)
    with app.database.transaction() as transaction:
        key_id = new_id("key")
        values = {
            "id": key_id, "organization_id": caller.organization_id, "user_id": caller.user_id, "name": name,
            "digest": digest, "last_four": last_four, "created_at": transaction.now,
            "scopes": None if scopes is None else " ".join(scope for scope in SCOPES if scope in scopes),
        }  # fmt: skip
        if transaction.insert_new(storage.API_KEY, values):
            transaction.audit(
                caller, "api_key.created", key_id, caller.organization_id, name=name, scopes=values["scopes"]
            )
        key = storage.api_key_by_digest(transaction, digest)
        if key is None or key["user_id"] != caller.user_id or key["revoked_at"] is not None:
            raise conflict("digest_in_use", "Make a new key.")
    return _answers.api_key(key)
