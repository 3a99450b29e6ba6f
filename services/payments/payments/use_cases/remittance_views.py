"""Instructions and receipts as others see them: JSON values only, so that an answer can be stored and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.clock import rfc3339

if TYPE_CHECKING:
    from chassis.persistence import Row
    from payments.bootstrap import App


def instructions_view(app: App, awaited: Row, received_minor: int) -> dict[str, Any]:
    """What the payer must know to pay what is left.

    Where the money goes is what the settings say now, not what they said at first: an account may have been closed.

    Args:
        app: the service's.
        awaited: the intent with its instructions.
        received_minor: what has arrived.
    """
    currency, due = awaited["currency"], awaited["amount_minor"]
    terms = app.remittances.get(awaited["method"])
    return {
        "method": awaited["method"],
        "reference": awaited["reference"],
        "amount": _money(due, currency),
        "received": _money(received_minor, currency),
        "remaining": _money(max(0, due - received_minor), currency),
        "due_on": awaited["due_on"].isoformat(),
        "expires_at": rfc3339(awaited["expires_at"]),
        "issue": awaited["issue"],
        "pay_to": dict(terms.pay_to) if terms else {},
    }


def told_to_payer(app: App, awaited: Row, received_minor: int) -> dict[str, Any]:
    """What every event about awaited money says: for which order, whom it concerns, and how to pay."""
    return {
        "intent_id": awaited["id"],
        "order_id": awaited["order_id"],
        "order_number": awaited["order_number"],
        "organization": {"id": awaited["organization_id"], "name": awaited["organization_name"]},
        "buyer": {
            "user_id": awaited["user_id"],
            "email": awaited["buyer_email"],
            "name": awaited["buyer_name"],
            "language": awaited["buyer_language"],
        },
        "instructions": instructions_view(app, awaited, received_minor),
    }


def receipt_view(receipt: Row | dict[str, Any]) -> dict[str, Any]:
    """A receipt for staff."""
    return {
        "id": receipt["id"],
        "order_id": receipt["order_id"],
        "order_number": receipt["order_number"],
        "method": receipt["method"],
        "bank_reference": receipt["bank_reference"],
        "amount": _money(receipt["amount_minor"], receipt["currency"]),
        "received_on": receipt["received_on"].isoformat(),
        "recorded_by": receipt["recorded_by"],
        "recorded_at": rfc3339(receipt["recorded_at"]),
    }


def surplus_view(surplus: Row) -> dict[str, Any]:
    """Money that had nothing to pay for, for staff."""
    return {
        "id": surplus["id"],
        "reason": surplus["reason"],
        "amount": _money(surplus["amount_minor"], surplus["currency"]),
        "noted_at": rfc3339(surplus["noted_at"]),
        "organization_id": surplus["organization_id"],
        "settlement": surplus["how"],
        "receipt": _receipt_of(surplus),
        "charge": _charge_of(surplus),
    }


def _receipt_of(surplus: Row) -> dict[str, Any] | None:
    if surplus["receipt_id"] is None:
        return None
    return receipt_view({**surplus, "id": surplus["receipt_id"], "amount_minor": surplus["received_minor"]})


def _charge_of(surplus: Row) -> dict[str, Any] | None:
    """The provider's charge, of a stray capture."""
    if surplus["provider_charge_id"] is None:
        return None
    names = ("order_id", "order_number", "provider_charge_id", "state")
    return {name: surplus[name] for name in names}


def _money(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}
