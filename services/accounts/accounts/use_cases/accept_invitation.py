"""Become a user of the organisation that invites."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.links import Purpose, token_invalid
from accounts.use_cases._links import hash_of_new_password
from kernel.ids import new_id


def accept_invitation(app: App, *, token_digest: str, sealed_password: str) -> dict[str, Any]:
    """Accept an invitation, once: the person becomes a user and can sign in.

    Args:
        app: the parts.
        token_digest: SHA-256 of the token in the mail, hexadecimal.
        sealed_password: sealed for accounts by the gateway.

    Raises:
        Refusal: `token_invalid`: unknown, used, withdrawn or expired, or the address has become a user's meanwhile;
            `password_too_short`, `password_too_simple`, `password_unreadable`: the link stays good.
    """
    password_hash = hash_of_new_password(app, Purpose.INVITATION, token_digest, sealed_password)
    with app.database.transaction() as transaction:
        link = storage.good_link(transaction, Purpose.INVITATION, token_digest, lock=True)
        if link is None:
            raise token_invalid()
        user = {
            "id": new_id("usr"), "organization_id": link["organization_id"], "email": link["email"],
            "name": link["name"], "role": link["role"], "language": link["language"], "password_hash": password_hash,
            "created_at": transaction.now,
        }  # fmt: skip
        if not transaction.insert_new(storage.USER, user):
            raise token_invalid()
        storage.change_link(transaction, link["id"], {"ended_at": transaction.now})
        transaction.audit(
            None, "user.joined", user["id"], link["organization_id"], role=link["role"], invitation_id=link["id"]
        )
    return {}
