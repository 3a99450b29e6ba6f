"""List the money that had nothing to pay for: a person must decide whether it is given back or used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.identity import STAFF
from payments import remittance_storage
from payments.use_cases.remittance_views import surplus_view

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App


def list_review(
    app: App,
    caller: Identity,
    *,
    reason: str | None,
    order_id: str | None,
    settled: bool | None = None,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """A page of it, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        rows, following = remittance_storage.page_of_surplus(reader, reason, order_id, settled, limit, cursor)
    return {"items": [surplus_view(row) for row in rows], "next": following}
