"""Add an address to the organisation's address book."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import BUYERS
from accounts.postal import checked
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found
from kernel.ids import new_id

#: The columns that say what an organisation uses an address for unless told otherwise.
DEFAULTS = ("default_billing", "default_shipping")


def create_address(app: App, caller: Identity, **address: Any) -> dict[str, Any]:
    """Add an address. The organisation's first one becomes its default for everything.

    Args:
        app: the parts.
        caller: a buyer or admin.
        address: the fields of `messages.NewAddress`.

    Raises:
        Refusal: `forbidden`; `address_invalid`: not an address of that country, naming every wrong field.
    """
    caller.require(*BUYERS)
    values = checked(address)
    with app.database.transaction() as transaction:
        # The lock lets two that become the default at once come one after the other.
        if storage.organization(transaction, caller.organization_id, lock=True) is None:
            raise not_found("organisation")
        if not storage.has_addresses(transaction, caller.organization_id):
            values |= dict.fromkeys(DEFAULTS, True)
        for column in DEFAULTS:
            if values[column]:
                storage.clear_default_address(transaction, caller.organization_id, column)
        row = {
            "id": new_id("adr"), "organization_id": caller.organization_id, "created_at": transaction.now,
            "updated_at": transaction.now, **values,
        }  # fmt: skip
        storage.add_address(transaction, row)
        transaction.audit(caller, "address.created", row["id"], caller.organization_id)
    return _answers.address(row)
