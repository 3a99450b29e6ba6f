"""Find an organisation by its id."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import STAFF_ROLES
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def find_organization(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Any organisation, for staff.

    Raises:
        Refusal: `forbidden`; `not_found`.
    """
    caller.require(*STAFF_ROLES)
    with app.database.reading() as reader:
        found = storage.organization(reader, id)
    if found is None:
        raise not_found("organisation")
    return _answers.organization(found)
