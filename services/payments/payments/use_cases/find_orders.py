"""Find the orders that a payment belongs to, by what stands on a statement, for staff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.identity import STAFF
from payments import remittance_storage
from payments.domain.references import normalised
from payments.domain.remittances import bank_key

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App

#: Orders that one question finds at most; whoever gets as many should ask more narrowly.
MOST = 1000


def find_orders(
    app: App,
    caller: Identity,
    *,
    last4: str | None = None,
    provider_id: str | None = None,
    reference: str | None = None,
    bank_reference: str | None = None,
) -> dict[str, Any]:
    """The orders whose payment fits everything said, newest first.

    Args:
        app: the service's.
        caller: staff.
        last4: of a card that was tried.
        provider_id: the payment provider's id of a charge, refund or dispute.
        reference: a payment reference, however it is written.
        bank_reference: the bank's own of a wire, or the number of a check.

    Raises:
        Refusal: `forbidden`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        found = remittance_storage.find_orders(
            reader,
            MOST,
            last4=last4,
            provider_id=provider_id,
            reference=None if reference is None else normalised(reference),
            bank_key=None if bank_reference is None else bank_key(bank_reference),
        )
    return {"order_ids": list(found)}
