"""Forget sessions that have expired."""

from __future__ import annotations

from accounts import storage
from accounts.bootstrap import App


def sweep_sessions(app: App) -> int:
    """Delete expired sessions (expiry itself is enforced when one is used); how many there were."""
    with app.database.transaction() as transaction:
        return storage.delete_expired_sessions(transaction)
