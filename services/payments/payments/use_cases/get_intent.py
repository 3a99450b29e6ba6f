"""Say what is known about an order's payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.clock import rfc3339
from kernel.errors import not_found
from payments import remittance_storage, storage
from payments.domain.declines import decline
from payments.domain.remittances import METHODS, OVERDUE
from payments.domain.states import State
from payments.use_cases.end_remittance import end_if_overdue
from payments.use_cases.remittance_views import instructions_view

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Row
    from payments.bootstrap import App


def get_intent(app: App, caller: Identity | None, *, order_id: str) -> dict[str, Any]:
    """The intent of an order. One whose money did not come in time ends here, if no sweep has ended it yet.

    Args:
        app: the service's.
        caller: whose order it must be; None for a service acting on its own (cart's process manager).
        order_id: the order.

    Raises:
        Refusal: `not_found`: nothing was ever asked to be collected for it, or it is another organisation's.
    """
    awaited: Row | None = None
    received = 0
    with app.database.reading() as reader:
        row = storage.find_intent(reader, order_id)
        if row is not None and row["method"] in METHODS:
            awaited = remittance_storage.find_instructions(reader, order_id)
            received = remittance_storage.received_minor(reader, row["id"])
    if row is None or (caller is not None and caller.organization_id != row["organization_id"]):
        raise not_found("payment")
    waits = awaited is not None and awaited["state"] == State.REQUIRES_ACTION
    if awaited is not None and waits and awaited["expires_at"] <= reader.now:
        end_if_overdue(app, order_id)
        return get_intent(app, caller, order_id=order_id)
    code = OVERDUE if awaited is not None and awaited["overdue_at"] else row["decline_code"]
    return {
        "intent_id": row["id"],
        "order_id": row["order_id"],
        "method": row["method"],
        "state": row["state"],
        "decline": decline(code) if code else None,
        "card": {"brand": row["card_brand"], "last4": row["card_last4"]} if row["card_last4"] else None,
        "instructions": instructions_view(app, awaited, received) if awaited is not None and waits else None,
        "next_action": _next_action(row),
    }


def _next_action(row: Row) -> dict[str, str] | None:
    """What the payer must do for the card that is being tried."""
    if row["state"] != State.PROCESSING or row["action_url"] is None:
        return None
    return {"type": "redirect", "url": row["action_url"], "expires_at": rfc3339(row["action_expires_at"])}
