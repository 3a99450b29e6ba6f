"""Cards are not tried out here: who has sent too many that were declined of late waits (docs/adr/0020).

Counted are declines by organisation, user and address, where the order is; whoever is paid by wire or check, or is
somebody else, is not held up.
"""

from __future__ import annotations

from cart.bootstrap import App
from cart.domain.order import Order
from chassis.identity import Identity
from chassis.persistence import Transaction
from chassis.persistence.throttle import Throttle, network_of, subject
from kernel.errors import Refusal

#: Declines that say nothing about the card.
_HARMLESS = frozenset({"authentication_expired", "processing_error", "token_expired", "token_already_used"})


def check_declines(app: App, caller: Identity, client_address: str) -> None:
    """Refuse who has sent too many cards that were declined.

    Raises:
        Refusal: `too_many_attempts`, with the seconds to wait.
    """
    with app.database.reading() as reader:
        app.declines.check(reader, subjects_of(caller.organization_id, caller.user_id, client_address))


def note_decline(throttle: Throttle, transaction: Transaction, order: Order, code: str) -> None:
    """Count a card that was declined for a locked order; in the transaction that ends it, so that it counts once."""
    if code in _HARMLESS:
        return
    try:
        throttle.fail(transaction, subjects_of(order.organization_id, order.user_id, order.client_address))
    except Refusal:
        return  # of many at once: it is full already


def subjects_of(organization_id: str, user_id: str, client_address: str) -> list[str]:
    """Under which declined cards are counted: organisation, user and address, in this order."""
    return [
        subject("organization", organization_id),
        subject("user", user_id),
        subject("address", network_of(client_address)),
    ]
