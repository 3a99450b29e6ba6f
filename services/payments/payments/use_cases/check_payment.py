"""Say whether an organisation may pay so, before anything is written for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import invalid, not_found
from payments.domain.remittances import METHODS
from payments.use_cases.payment_methods import choose

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App


def check_payment(
    app: App, caller: Identity | None, *, organization_id: str, method: str, payment_method_id: str | None = None
) -> dict[str, Any]:
    """Refuse what cannot be.

    Raises:
        Refusal: `not_found` for another organisation, and for a card that is not that organisation's;
            `payment_method_unavailable`; `card_expired`.
    """
    if caller is not None and caller.organization_id != organization_id:
        raise not_found("order")
    if method in METHODS and method not in app.remittances:
        raise invalid(
            "payment_method_unavailable", f"Payment by {method} is not open. Choose another method.", "payment.method"
        )
    if payment_method_id is not None:
        with app.database.reading() as reader:
            choose(reader, payment_method_id, organization_id)
    return {}
