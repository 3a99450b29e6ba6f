"""Keep a user from signing in."""

from __future__ import annotations

from typing import Any

from accounts.bootstrap import App
from accounts.use_cases.update_user import update_user
from chassis.identity import Identity


def deactivate_user(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Deactivate a user of the caller's organisation: history stays, sessions and API keys stop at once.

    Args:
        app: the parts.
        caller: an admin, or a superuser of the platform's own organisation.
        id: the user's. Safe to repeat.

    Raises:
        Refusal: `forbidden`; `not_found`; `cannot_deactivate_self`; `last_admin`.
    """
    update_user(app, caller, id=id, active=False)
    return {}
