"""Set a new password in place of a forgotten one."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.links import Purpose, token_invalid
from accounts.use_cases._links import hash_of_new_password
from accounts.use_cases._passwords import password_changed


def reset_password(app: App, *, token_digest: str, sealed_password: str) -> dict[str, Any]:
    """Set a new password, once. All sessions of the user end; a mail says that the password was changed.

    Args:
        app: the parts.
        token_digest: SHA-256 of the token in the mail, hexadecimal.
        sealed_password: sealed for accounts by the gateway.

    Raises:
        Refusal: `token_invalid`: unknown, used or expired, or the user is deactivated; `password_too_short`,
            `password_too_simple`, `password_unreadable`: the link stays good.
    """
    password_hash = hash_of_new_password(app, Purpose.PASSWORD_RESET, token_digest, sealed_password)
    with app.database.transaction() as transaction:
        link = storage.good_link(transaction, Purpose.PASSWORD_RESET, token_digest, lock=True)
        person = None if link is None else storage.person_by_email(transaction, link["email"])
        if link is None or person is None:
            raise token_invalid()
        user_id = person["user_id"]
        storage.user(transaction, user_id, lock=True)  # a sign-in that is under way comes before this or after it
        storage.set_password_hash(transaction, user_id, password_hash)
        storage.end_links(transaction, Purpose.PASSWORD_RESET, link["email"])
        password_changed(transaction, person)
        transaction.audit(None, "user.password_reset", user_id, person["organization_id"])
    return {}
