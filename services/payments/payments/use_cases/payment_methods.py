"""What is shown of saved cards, and how one is chosen for a payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.clock import rfc3339
from kernel.errors import not_found
from payments import payment_method_storage
from payments.domain.payment_methods import MethodState, expired, has_expired

if TYPE_CHECKING:
    from datetime import datetime

    from chassis.persistence import Reader, Row

#: Who may see the cards of their organisation, and who may also add, choose and remove them.
READERS = ("viewer", "buyer", "admin")
BUYERS = ("buyer", "admin")


def choose(reader: Reader, method_id: str, organization_id: str) -> Row:
    """A card that its organisation may pay with.

    Raises:
        Refusal: `not_found`, for another organisation's too; `card_expired`.
    """
    found = payment_method_storage.find(reader, method_id, organization_id)
    if found is None or found["state"] != MethodState.SAVED:
        raise not_found("payment method")
    if has_expired(found["exp_month"], found["exp_year"], reader.now):
        raise expired()
    return found


def method_view(method: Row | dict[str, Any], now: datetime) -> dict[str, Any]:
    """A saved card: JSON values only, so that an answer can be stored and replayed."""
    return {
        "id": method["id"],
        "brand": method["brand"],
        "last4": method["last4"],
        "exp_month": method["exp_month"],
        "exp_year": method["exp_year"],
        "expired": has_expired(method["exp_month"], method["exp_year"], now),
        "default": method["is_default"],
        "created_at": rfc3339(method["created_at"]),
    }
