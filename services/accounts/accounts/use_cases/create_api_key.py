"""Let a program act for the caller."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import conflict
from kernel.ids import new_id


def create_api_key(app: App, caller: Identity, *, name: str, digest: str, last_four: str) -> dict[str, Any]:
    """Keep the digest of a new API key that acts as the caller. The same digest again (a retry) is the same key.

    Args:
        app: the parts.
        caller: an admin.
        name: what people call the key.
        digest: SHA-256 of the key that the gateway made and shows once.
        last_four: the key's last four characters, to tell keys apart.

    Raises:
        Refusal: `forbidden`; `digest_in_use`.
    """
    caller.require("admin")
    with app.database.transaction() as transaction:
        values = {
            "id": new_id("key"), "organization_id": caller.organization_id, "user_id": caller.user_id, "name": name,
            "digest": digest, "last_four": last_four, "created_at": transaction.now,
        }  # fmt: skip
        transaction.insert_new(storage.API_KEY, values)
        key = storage.api_key_by_digest(transaction, digest)
        if key is None or key["user_id"] != caller.user_id or key["revoked_at"] is not None:
            raise conflict("digest_in_use", "Make a new key.")
    return _answers.api_key(key)
