"""Where credits came from, made of what each service tells: the ledger, the order, its payment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.web import ask
from kernel.errors import Kind, Refusal

#: Orders that are looked up for one entry. An entry rarely draws from more than two.
_MOST_ORDERS = 20


def traced(trace: dict[str, Any]) -> dict[str, Any]:
    """A trace of the caller's organisation with the orders that credits knows by their ids only."""
    return _completed(trace, _own_order)


def traced_for_staff(trace: dict[str, Any]) -> dict[str, Any]:
    """The same, of any organisation."""
    return _completed(trace, _any_order)


def _completed(trace: dict[str, Any], find: Callable[[str, str], dict[str, Any]]) -> dict[str, Any]:
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for source in trace["sources"]:
        if source["order"] is None:
            continue
        where = (source["order"]["order_id"], source["order"]["line_id"])
        if where not in known and len(known) < _MOST_ORDERS:
            known[where] = find(*where)
        source["order"] = known.get(where, _unknown(*where))
    return trace


def _unknown(order_id: str, line_id: str) -> dict[str, Any]:
    return {"id": order_id, "line_id": line_id, "number": None, "placed_at": None, "paid_at": None,
            "purchase_order_number": None, "line": None, "total": None, "payment": None, "invoice": None}  # fmt: skip


def _own_order(order_id: str, line_id: str) -> dict[str, Any]:
    order = _asked("cart", "get_order", {"id": order_id})
    if order is None:
        return _unknown(order_id, line_id)
    invoice = _asked("payments", "get_invoice", {"order_id": order_id})
    intent = _asked("payments", "get_intent", {"order_id": order_id})
    lines = [line for line in order["lines"] if line["id"] == line_id]
    purchase_order = order["purchase_order"] or {}
    payment = {
        "id": intent["intent_id"] if intent else None,
        **{name: order["payment"][name] for name in ("method", "state", "card")},
    }
    return {
        "id": order_id, "line_id": line_id, "number": order["number"], "placed_at": order["placed_at"],
        "paid_at": order["paid_at"], "purchase_order_number": purchase_order.get("number"),
        "line": lines[0] if lines else None, "total": order["totals"]["total"], "payment": payment,
        "invoice": {name: invoice[name] for name in ("number", "state")} if invoice else None,
    }  # fmt: skip


def _any_order(order_id: str, line_id: str) -> dict[str, Any]:
    found = ask("cart", "search_orders", {"ids": [order_id], "limit": 1})["items"]
    if not found:
        return _unknown(order_id, line_id)
    order = found[0]
    return {
        **_unknown(order_id, line_id),
        **{name: order[name] for name in ("number", "placed_at", "paid_at", "purchase_order_number", "total")},
        "payment": {"id": None, "method": order["payment_method"], "state": None, "card": None},
    }


def _asked(service: str, method: str, data: dict[str, Any]) -> dict[str, Any] | None:
    """The answer; None to who may not see it, or if there is none."""
    try:
        return ask(service, method, data)
    except Refusal as refusal:
        if refusal.kind not in (Kind.FORBIDDEN, Kind.NOT_FOUND):
            raise
        return None
