"""Change the organisation's own record."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import invalid, not_found


def update_organization(app: App, caller: Identity, **changes: Any) -> dict[str, Any]:
    """Change the name, the time zone or the language of the caller's organisation. What was ordered stays as it is.

    Args:
        app: the parts.
        caller: an admin.
        changes: the fields of `messages.UpdateOrganization` that were given.

    Raises:
        Refusal: `forbidden`; `time_zone_unknown`; `nothing_to_change`.
    """
    caller.require("admin")
    if not changes:
        raise invalid("nothing_to_change", "Name at least one field to change.")
    if changes.get("time_zone", "UTC") not in _time_zones():
        raise invalid("time_zone_unknown", "Not a time zone of the IANA database, such as Europe/Berlin.", "time_zone")
    with app.database.transaction() as transaction:
        organization = storage.organization(transaction, caller.organization_id, lock=True)
        if organization is None:
            raise not_found("organisation")
        storage.change_organization(transaction, caller.organization_id, changes)
        transaction.audit(
            caller, "organization.changed", caller.organization_id, caller.organization_id, fields=sorted(changes)
        )
    return _answers.organization({**organization, **changes})


@lru_cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
