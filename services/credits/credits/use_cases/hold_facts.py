"""Say what every hold has, so that it can be compared with what it is for."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF, Identity
from credits.bootstrap import App
from credits.storage import holds


def hold_facts(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of all holds, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = holds.page_of_holds(reader, limit, cursor)
    return {
        "items": [
            {
                "cause": row["cause"],
                "held": row["credits"] if row["settled_at"] is None else 0,
                "spent": row["spent"],
                "given_back": row["given_back"],
            }
            for row in rows
        ],
        "next": following,
    }
