"""Say what is known about an order's payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import not_found
from payments import storage
from payments.domain.declines import decline

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App


def get_intent(app: App, caller: Identity | None, *, order_id: str) -> dict[str, Any]:
    """The intent of an order.

    Args:
        app: the service's.
        caller: whose order it must be; None for a service acting on its own (cart's process manager).
        order_id: the order.

    Raises:
        Refusal: `not_found`: nothing was ever asked to be collected for it, or it is another organisation's.
    """
    with app.database.reading() as reader:
        row = storage.find_intent(reader, order_id)
    if row is None or (caller is not None and caller.organization_id != row["organization_id"]):
        raise not_found("payment")
    return {
        "intent_id": row["id"],
        "order_id": row["order_id"],
        "state": row["state"],
        "decline": decline(row["decline_code"]) if row["decline_code"] else None,
        "card": {"brand": row["card_brand"], "last4": row["card_last4"]} if row["card_last4"] else None,
    }
