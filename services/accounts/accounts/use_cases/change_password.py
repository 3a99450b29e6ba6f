"""Set a new password in place of the one that is known."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.links import Purpose
from accounts.domain.new_passwords import check_new
from accounts.use_cases._links import opened
from accounts.use_cases._passwords import password_changed, sign_in_subjects
from chassis.identity import Identity
from kernel.errors import Refusal, invalid


def change_password(
    app: App, caller: Identity, *, sealed_old_password: str, sealed_new_password: str, session_digest: str,
    client_address: str,
) -> dict[str, Any]:  # fmt: skip
    """Change the caller's own password. All other sessions of the user end; a mail says that it was changed.

    Wrong old passwords are counted with the refused sign-ins: whoever has found an open session cannot guess either.

    Args:
        app: the parts.
        caller: a user with a session.
        sealed_old_password: sealed for accounts by the gateway, as the new one is.
        sealed_new_password: the new one.
        session_digest: of the session that goes on.
        client_address: where the request came from.

    Raises:
        Refusal: `password_wrong`; `too_many_attempts`; `password_too_short`, `password_too_simple`,
            `password_unreadable`: nothing was changed.
    """
    old, new = opened(app, sealed_old_password), opened(app, sealed_new_password)
    subjects = sign_in_subjects(caller.email, client_address)
    with app.database.reading() as reader:
        app.throttle.check(reader, subjects)
        person = storage.person_by_email(reader, caller.email)
    if person is None or not app.passwords.matches(person["password_hash"], old):
        with app.database.transaction() as transaction:
            app.throttle.fail(transaction, subjects)
        raise _wrong()
    check_new(new, person["email"], "new_password")
    password_hash = app.passwords.hash(new)
    with app.database.transaction() as transaction:
        user = storage.user(transaction, caller.user_id, lock=True)
        if user is None or user["deactivated_at"] is not None or user["password_hash"] != person["password_hash"]:
            raise _wrong()  # somebody was faster while we were computing
        storage.set_password_hash(transaction, caller.user_id, password_hash)
        storage.end_links(transaction, Purpose.PASSWORD_RESET, person["email"])
        password_changed(transaction, person, kept=session_digest)
        transaction.audit(caller, "user.password_changed", caller.user_id, caller.organization_id)
    return {}


def _wrong() -> Refusal:
    return invalid("password_wrong", "This is not your present password.", "old_password")
