"""Change an address of the organisation's address book."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import BUYERS
from accounts.postal import checked
from accounts.use_cases import _answers
from accounts.use_cases.create_address import DEFAULTS
from chassis.identity import Identity
from kernel.errors import not_found


def update_address(app: App, caller: Identity, *, id: str, **changes: Any) -> dict[str, Any]:
    """Change an address; orders and invoices that were made with it keep their copy.

    Args:
        app: the parts.
        caller: a buyer or admin.
        id: the address's.
        changes: the fields of `messages.UpdateAddress` that were given; the address as a whole must be right then.

    Raises:
        Refusal: `forbidden`; `not_found`; `address_invalid`.
    """
    caller.require(*BUYERS)
    with app.database.transaction() as transaction:
        storage.organization(transaction, caller.organization_id, lock=True)
        found = storage.address(transaction, caller.organization_id, id)
        if found is None:
            raise not_found("address")
        address = checked({**_answers.address(found), **changes})
        for column in DEFAULTS:
            if address[column] and not found[column]:
                storage.clear_default_address(transaction, caller.organization_id, column)
        transaction.audit(caller, "address.changed", id, caller.organization_id, fields=sorted(changes))
        storage.change_address(transaction, id, {name: address[name] for name in _answers.ADDRESS_FIELDS})
    return address
