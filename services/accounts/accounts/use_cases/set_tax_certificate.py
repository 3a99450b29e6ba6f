"""Note that an organisation pays no tax, or that it does."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity
from kernel.errors import not_found


def set_tax_certificate(
    app: App, caller: Identity, *, organization_id: str, certificate: str | None
) -> dict[str, Any]:  # fmt: skip
    """Keep the number of the certificate by which an organisation is exempt from tax. Safe to repeat.

    Args:
        app: the parts.
        caller: finance, or a superuser.
        organization_id: any organisation's.
        certificate: its number; None if the organisation pays tax (again). Orders that were placed stay as they are.

    Raises:
        Refusal: `forbidden`; `not_found`.
    """
    caller.require("finance", "superuser")
    with app.database.transaction() as transaction:
        organization = storage.organization(transaction, organization_id, lock=True)
        if organization is None:
            raise not_found("organisation")
        storage.change_organization(transaction, organization_id, {"tax_certificate": certificate})
        transaction.audit(
            caller, "organization.tax_certificate_set", organization_id, organization_id, certificate=certificate
        )
    return _answers.organization({**organization, "tax_certificate": certificate})
