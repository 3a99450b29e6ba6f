"""Say what was collected and given back for every order, so that it can be compared with what the order says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.identity import STAFF
from payments import dispute_storage, remittance_storage

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Row
    from payments.bootstrap import App


def order_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all intents, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = remittance_storage.page_of_intents(reader, limit, cursor)
        disputes = dispute_storage.of_intents(reader, [row["id"] for row in rows])
    return {
        "items": [
            {
                "order_id": row["order_id"],
                "intent_id": row["id"],
                "method": row["method"],
                "state": row["state"],
                "amount": _money(row["amount_minor"], row),
                "captures": row["captures"] + row["completions"],
                "received": _money(row["received"], row),
                "surplus": _money(row["surplus"], row),
                "refunded_minor": row["refunded_minor"] + int(row["sent_back"]),
                "dispute": disputes[row["id"]]["state"] if row["id"] in disputes else None,
                **{name: int(row[name]) for name in ("strays", "strays_returned", "strays_returned_minor")},
            }
            for row in rows
        ],
        "next": following,
    }


def _money(amount_minor: int, row: Row) -> dict[str, Any]:
    return {"amount_minor": int(amount_minor), "currency": row["currency"]}
