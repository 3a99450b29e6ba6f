"""Begin an organisation with its first admin."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.links import Purpose, token_invalid
from kernel.ids import new_id


def confirm_sign_up(app: App, *, token_digest: str) -> dict[str, Any]:
    """Confirm a sign-up, once: its organisation and its first user, an admin, begin.

    Args:
        app: the parts.
        token_digest: SHA-256 of the token in the mail, hexadecimal.

    Raises:
        Refusal: `token_invalid`: unknown, used, expired, or the address has become a user's meanwhile.
    """
    with app.database.transaction() as transaction:
        link = storage.good_link(transaction, Purpose.CONFIRMATION, token_digest, lock=True)
        if link is None:
            raise token_invalid()
        organization_id = storage.add_organization(transaction, link["organization_name"], link["language"])
        user = {
            "id": new_id("usr"), "organization_id": organization_id, "email": link["email"], "name": link["name"],
            "role": "admin", "language": link["language"], "password_hash": link["password_hash"],
            "created_at": transaction.now,
        }  # fmt: skip
        if not transaction.insert_new(storage.USER, user):
            raise token_invalid()
        storage.end_links(transaction, Purpose.CONFIRMATION, link["email"])
        transaction.audit(
            None, "organization.created", organization_id, organization_id, user_id=user["id"], email=link["email"]
        )
    return {}
