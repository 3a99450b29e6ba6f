"""Make an API key known."""

from __future__ import annotations

from accounts import storage
from accounts.bootstrap import App
from kernel.errors import conflict, invalid, not_found


def register_api_key(app: App, *, id: str, user_id: str, name: str, digest: str, last_four: str) -> str:
    """Register an API key of an admin. Safe to repeat: one that exists stays as it is, revoked if it was revoked.

    Args:
        app: the parts.
        id: such as ``key_demo``.
        user_id: the admin for whom it acts.
        name: for people.
        digest: SHA-256 of the key, hexadecimal.
        last_four: the key's last four characters.

    Returns:
        The id.

    Raises:
        Refusal: `not_found` user; `role_invalid`: the user is no admin; `digest_in_use`: the id or the digest belongs
            to another key.
    """
    with app.database.transaction() as transaction:
        user = storage.user(transaction, user_id)
        if user is None:
            raise not_found("user")
        if user["role"] != "admin":
            raise invalid("role_invalid", "Only an admin has API keys.", "user_id")
        transaction.insert_new(
            storage.API_KEY,
            {"id": id, "organization_id": user["organization_id"], "user_id": user_id, "name": name, "digest": digest,
             "last_four": last_four, "created_at": transaction.now},
        )  # fmt: skip
        known = storage.api_key_by_digest(transaction, digest)
        if known is None or known["id"] != id or known["user_id"] != user_id:
            raise conflict("digest_in_use", "Another API key has this id or digest.")
    return id
