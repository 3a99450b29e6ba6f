"""End a session."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.messages import CREDENTIAL_REVOKED
from chassis.identity import Identity


def sign_out(app: App, caller: Identity, *, session_digest: str) -> dict[str, Any]:
    """End one of the caller's own sessions and tell every gateway. Safe to repeat.

    Args:
        app: the parts.
        caller: who asks.
        session_digest: SHA-256 of the session token; one that is not a session of the caller changes nothing.
    """
    with app.database.transaction() as transaction:
        if storage.end_session(transaction, session_digest, caller.user_id):
            transaction.emit(CREDENTIAL_REVOKED, {"credential_digest": session_digest})
    return {}
