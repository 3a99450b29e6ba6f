"""Show refunds."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.use_cases.views import refund_view
from chassis.identity import STAFF, Identity
from kernel.errors import not_found


def get_refund(app: App, caller: Identity, order_id: str) -> dict[str, Any]:
    """The newest refund of any organisation's order.

    Raises:
        Refusal: `forbidden`; `not_found`: there is no such order, or nobody asked for a refund.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        refund = storage.newest_refund(reader, order_id)
    if refund is None:
        raise not_found("refund")
    return refund_view(refund)


def find_refund(app: App, caller: Identity, refund_id: str) -> dict[str, Any]:
    """A refund.

    Raises:
        Refusal: `forbidden`; `not_found`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        refund = storage.read_refund(reader, refund_id)
    if refund is None:
        raise not_found("refund")
    return refund_view(refund)


def list_refunds(
    app: App, caller: Identity, *, state: str | None, order_id: str | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """A page of refunds, newest first.

    Raises:
        Refusal: `forbidden`; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        refunds, following = storage.page_of_refunds(reader, state, order_id, limit, cursor)
    return {"items": [refund_view(refund) for refund in refunds], "next": following}
