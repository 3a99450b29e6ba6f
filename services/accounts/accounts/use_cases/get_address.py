"""Show an address."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import READERS
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def get_address(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """An address of the caller's organisation.

    Raises:
        Refusal: `forbidden`; `not_found`: there is none, or it is somebody else's.
    """
    caller.require(*READERS)
    with app.database.reading() as reader:
        found = storage.address(reader, caller.organization_id, id)
    if found is None:
        raise not_found("address")
    return _answers.address(found)
