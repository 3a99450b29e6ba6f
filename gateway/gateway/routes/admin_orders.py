"""For staff: any order, found by what a customer or a bank statement says, and what happened to it."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.csvtext import all_rows, csv_answer, wants_csv
from gateway.timeline import timeline
from gateway.web import Blueprint, answer, ask, page
from kernel.errors import not_found

routes = Blueprint(
    "Admin orders", __name__, url_prefix="/v1/admin/orders", description="For staff; every call is logged."
)

#: What payments knows orders by; the rest cart does.
_OF_PAYMENTS = ("last4", "provider_id", "reference", "bank_reference")
_COLUMNS = (
    "number", "kind", "state", "organization.id", "organization.name", "buyer.email", "buyer.name",
    "total.amount_minor", "total.currency", "payment_method", "card_last4", "purchase_order_number", "placed_at",
    "paid_at", "problem", "dispute", "id",
)  # fmt: skip
#: Orders in one file; a cursor leads on.
_MOST_IN_CSV = 5000


@routes.route("", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.OrderInShort))
@routes.arguments(inputs.OrderSearch(), location="query")
def search(query: dict[str, Any]) -> Response:
    """Orders and quotes that fit everything said, newest first; with `Accept: text/csv` up to 5,000 as a file."""
    note(**query)
    wanted = {name: value for name, value in query.items() if name not in _OF_PAYMENTS}
    of_payments = {name: query[name] for name in _OF_PAYMENTS if name in query}
    if of_payments:
        wanted["ids"] = ask("payments", "find_orders", of_payments)["order_ids"]
    if wants_csv():
        return csv_answer("orders", _COLUMNS, all_rows("cart", "search_orders", wanted, _MOST_IN_CSV))
    return page(ask("cart", "search_orders", wanted), query)


@routes.route("/<id:order_id>", methods=["GET"])
@audited
@routes.response(200, outputs.OrderInShort)
def get(order_id: str) -> Response:
    """One order of any organisation, in short."""
    note(order_id=order_id)
    return answer(_found(order_id))


@routes.route("/<id:order_id>/timeline", methods=["GET"])
@audited
@routes.response(200, outputs.Timeline)
def get_timeline(order_id: str) -> Response:
    """Every attempt, mail, refund and claim of an order, and who of the staff did what, oldest first."""
    note(order_id=order_id)
    _found(order_id)
    return answer(timeline(order_id))


def _found(order_id: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = ask("cart", "search_orders", {"ids": [order_id], "limit": 1})["items"]
    if not items:
        raise not_found("order")
    return items[0]
