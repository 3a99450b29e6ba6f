"""Show the caller's organisation."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def get_organization(app: App, caller: Identity) -> dict[str, Any]:
    """The caller's organisation with the number of users who can sign in.

    Raises:
        Refusal: `not_found`.
    """
    with app.database.reading() as reader:
        organization = storage.organization(reader, caller.organization_id)
        if organization is None:
            raise not_found("organisation")
        return {
            **_answers.organization(organization),
            "users_count": storage.count_active_users(reader, caller.organization_id),
        }
