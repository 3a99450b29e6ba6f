"""Make an address known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.postal import checked
from accounts.use_cases._answers import ADDRESS_FIELDS
from kernel.errors import not_found


def register_address(app: App, *, id: str, organization_id: str, address: Mapping[str, Any]) -> str:
    """Register an address. Safe to repeat: an organisation that has any keeps its address book as it is.

    Args:
        app: the parts.
        id: such as ``adr_acme``.
        organization_id: an organisation that exists.
        address: the fields of an address; those that are missing are empty. It becomes the default for everything.

    Returns:
        The id.

    Raises:
        Refusal: `not_found` organisation; `address_invalid`.
    """
    values = checked({**dict.fromkeys(ADDRESS_FIELDS), **address, "default_billing": True, "default_shipping": True})
    with app.database.transaction() as transaction:
        if storage.organization(transaction, organization_id, lock=True) is None:
            raise not_found("organisation")
        if not storage.has_addresses(transaction, organization_id):
            row = {"id": id, "organization_id": organization_id, **values}
            storage.add_address(transaction, {**row, "created_at": transaction.now, "updated_at": transaction.now})
    return id
