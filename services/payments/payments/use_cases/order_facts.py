"""Say what was collected for every order, so that it can be compared with what the order says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments import storage

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App


def order_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all intents, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require("finance", "support", "superuser")
    with app.database.reading() as reader:
        rows, following = storage.page_of_intents(reader, limit, cursor)
    return {
        "items": [
            {
                "order_id": row["order_id"],
                "intent_id": row["id"],
                "state": row["state"],
                "amount": {"amount_minor": row["amount_minor"], "currency": row["currency"]},
                "captures": row["captures"],
            }
            for row in rows
        ],
        "next": following,
    }
