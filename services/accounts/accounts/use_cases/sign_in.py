"""Begin a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain import emails
from accounts.use_cases import _answers
from accounts.use_cases._links import opened
from accounts.use_cases._passwords import sign_in_subjects
from chassis.persistence import Row
from kernel.errors import Kind, Refusal, conflict


def sign_in(
    app: App, *, email: str, sealed_password: str, session_digest: str, client_address: str
) -> dict[str, Any]:  # fmt: skip
    """Check a password and begin a session.

    A wrong password, an unknown address and a deactivated user are the same answer after the same work, so that nobody
    can find out who is a customer; after ten of them in ten minutes, for a user name or from an address, the next one
    must wait, right or wrong. Asked again with the same digest (a retry), the session is still one.

    Args:
        app: the parts.
        email: the user name, as typed.
        sealed_password: sealed for accounts by the gateway.
        session_digest: SHA-256 of the token that the gateway made and shows to nobody but the client.
        client_address: where the request came from.

    Raises:
        Refusal: `invalid_credentials`; `too_many_attempts`; `password_unreadable`; `digest_in_use`.
    """
    password, name = opened(app, sealed_password), emails.normalised(email)
    subjects = sign_in_subjects(name, client_address)
    with app.database.reading() as reader:
        app.throttle.check(reader, subjects)
        person = storage.person_by_email(reader, name)
    if not app.passwords.matches(person["password_hash"] if person else None, password) or person is None:
        raise _counted(app, subjects)
    stronger = _rehashed(app, person["password_hash"], password)
    with app.database.transaction() as transaction:
        user = storage.user(transaction, person["user_id"], lock=True)
        if user is None or user["deactivated_at"] is not None:
            raise _invalid_credentials()  # deactivated while we were computing
        if stronger:
            storage.change_password_hash(transaction, person["user_id"], person["password_hash"], stronger)
        expires_at = transaction.now + app.settings.session_lifetime
        if not storage.add_session(transaction, session_digest, person["user_id"], expires_at):
            expires_at = _of_retry(storage.session(transaction, session_digest), person)["expires_at"]
    return {"expires_at": expires_at, **_answers.user_and_organization(person)}


def _rehashed(app: App, password_hash: str, password: str) -> str | None:
    """A new hash if the parameters have changed since the old one was made."""
    return app.passwords.hash(password) if app.passwords.outdated(password_hash) else None


def _of_retry(session: Row | None, person: Row) -> Row:
    if session is None or session["user_id"] != person["user_id"]:
        raise conflict("digest_in_use", "Make a new session token.")
    return session


def _counted(app: App, subjects: Sequence[str]) -> Refusal:
    """Count the failure; what to answer, unless others failed meanwhile and this is one too many."""
    with app.database.transaction() as transaction:
        app.throttle.fail(transaction, subjects)
    return _invalid_credentials()


def _invalid_credentials() -> Refusal:
    return Refusal(Kind.UNAUTHENTICATED, "invalid_credentials", "The e-mail address or the password is wrong.")
