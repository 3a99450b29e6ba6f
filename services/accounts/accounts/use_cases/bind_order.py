"""Bind what was bought to its deployments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import itemgetter
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.terms import DEFAULT_MONTHS, term
from accounts.messages import ORDER_BOUND
from chassis.messages import Event
from chassis.persistence import Transaction
from kernel.errors import not_found

_BINDABLE = ("contract", "licence")


def bind_orders(app: App, events: Sequence[Event]) -> None:
    """Bind the contracts and licences of paid orders, each line once for ever, and tell cart which.

    A deployment that was retired after the payment, or is no longer managed by the buyer, is bound all the same: the
    buyer has paid, and cart had checked. An order with nothing to bind leaves no trace here.

    Args:
        app: the parts.
        events: cart.order_paid.v1.

    Raises:
        Refusal: `not_found`: a deployment is not the buyer's and never was managed by it; nothing is bound, the
            event is parked in the end.
    """
    binding = [event for event in events if _bindable(event)]
    if not binding:
        return
    with app.database.transaction() as transaction:
        for event in transaction.accept_each(binding):
            order, lines = event.data, _bindable(event)
            _check_owner(transaction, order["organization"]["id"], lines)
            for line in sorted(lines, key=itemgetter("deployment_id")):  # whose rows are locked, in one order
                # A line that is bound stays as it is: the same order under another event id finds its rows there.
                transaction.insert_new(storage.ENTITLEMENT, _entitlement(transaction, order, line))
            transaction.emit(ORDER_BOUND, {"order_id": order["order_id"], "line_ids": [line["id"] for line in lines]})


def _bindable(event: Event) -> list[dict[str, Any]]:
    return [line for line in event.data["lines"] if line["kind"] in _BINDABLE and line["deployment_id"]]


def _check_owner(transaction: Transaction, organization_id: str, lines: list[dict[str, Any]]) -> None:
    wanted = {line["deployment_id"] for line in lines}
    if len(storage.deployments(transaction, organization_id, wanted, ever=True)) < len(wanted):
        raise not_found("deployment")


def _entitlement(transaction: Transaction, order: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    starts_on, ends_on = _term(transaction, line)
    return {
        "order_line_id": line["id"],
        "order_id": order["order_id"],
        "organization_id": order["organization"]["id"],
        **{name: line[name] for name in ("deployment_id", "kind", "sku", "name", "quantity")},
        "bound_at": transaction.now,
        "starts_on": starts_on,
        "ends_on": ends_on,
    }


def _term(transaction: Transaction, line: dict[str, Any]) -> tuple[date | None, date | None]:
    """When a contract runs; several pieces for one deployment run one after the other. A licence is for good."""
    if line["kind"] != "contract":
        return None, None
    running_until = storage.lock_term(transaction, line["deployment_id"], line["sku"])
    return term(transaction.now.date(), running_until, (line["term_months"] or DEFAULT_MONTHS) * line["quantity"])
