"""Say whose credential it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import LIFETIME_S, Identity
from kernel.errors import Kind, Refusal


def authenticate(app: App, *, credential_digest: str) -> dict[str, Any]:
    """A signed identity for a session token or API key; an API key stands for the admin who created it, within the
    scopes that it was made for.

    Args:
        app: the parts.
        credential_digest: SHA-256 of the token or key, hexadecimal.

    Raises:
        Refusal: `unauthenticated`: unknown, expired, revoked, or its user is deactivated.
    """
    with app.database.reading() as reader:
        now = reader.now
        person = storage.person_by_session(reader, credential_digest) or storage.person_by_api_key(
            reader, credential_digest
        )
    if person is None:
        raise Refusal(Kind.UNAUTHENTICATED, "unauthenticated", "Sign in first: the credentials are missing or expired.")
    identity = Identity(
        user_id=person["user_id"],
        email=person["email"],
        name=person["user_name"],
        role=person["role"],
        organization_id=person["organization_id"],
        organization=person["organization_name"],
        language=person["language"],
        organization_number=str(person["organization_number"]),
        scopes=person["scopes"],
    )
    believed_until = now + timedelta(seconds=LIFETIME_S)
    expires_at = person["expires_at"]
    return {
        "identity": app.signer.sign(identity, now.timestamp()),
        "believed_until": min(believed_until, expires_at) if expires_at else believed_until,
        "expires_at": expires_at,
        **_answers.user_and_organization(person),
    }
