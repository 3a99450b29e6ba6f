"""Take an address out of the organisation's address book."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import BUYERS
from chassis.identity import Identity
from kernel.errors import not_found


def delete_address(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Forget an address; orders and invoices that were made with it keep their copy.

    Raises:
        Refusal: `forbidden`; `not_found`.
    """
    caller.require(*BUYERS)
    with app.database.transaction() as transaction:
        if not storage.delete_address(transaction, caller.organization_id, id):
            raise not_found("address")
        transaction.audit(caller, "address.deleted", id, caller.organization_id)
    return {}
