"""Say what an order of the caller's organisation is billed by."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def billing_facts(app: App, caller: Identity, *, address_id: str | None) -> dict[str, Any]:
    """The billing address, and what of the organisation bears on tax and dates.

    Args:
        app: the parts.
        caller: whose organisation.
        address_id: an address of it; None for its default billing address, if it has one.

    Raises:
        Refusal: `not_found`: the organisation has no such address.
    """
    with app.database.reading() as reader:
        organization = storage.organization(reader, caller.organization_id)
        if organization is None:
            raise not_found("organisation")
        if address_id is None:
            address = storage.default_billing_address(reader, caller.organization_id)
        else:
            address = storage.address(reader, caller.organization_id, address_id)
            if address is None:
                raise not_found("address")
    return {
        "address": None if address is None else _answers.address(address),
        "organization": _answers.organization(organization),
    }
