"""List an organisation's saved cards, make one the default, remove one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.errors import not_found
from payments import payment_method_storage
from payments.domain.payment_methods import MethodState, expired, has_expired
from payments.use_cases.payment_methods import BUYERS, READERS, method_view

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App


def list_payment_methods(app: App, caller: Identity) -> dict[str, Any]:
    """The cards that the caller's organisation has saved, expired ones too.

    Raises:
        Refusal: `forbidden`.
    """
    caller.require(*READERS)
    with app.database.reading() as reader:
        rows = payment_method_storage.listed(reader, caller.organization_id)
    return {"items": [method_view(row, reader.now) for row in rows], "next": None}


def set_default_payment_method(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Make a card the default of its organisation.

    Raises:
        Refusal: `forbidden`; `not_found`; `card_expired`.
    """
    caller.require(*BUYERS)
    with app.database.transaction() as tx:
        cards = payment_method_storage.lock_all(tx, caller.organization_id)
        if id not in cards:
            raise not_found("payment method")
        if has_expired(cards[id]["exp_month"], cards[id]["exp_year"], tx.now):
            raise expired()
        if not cards[id]["is_default"]:
            for other in cards.values():
                if other["is_default"]:
                    payment_method_storage.change(tx, other["id"], is_default=False)
            payment_method_storage.change(tx, id, is_default=True)
            tx.audit(caller, "payment_method.made_default", id, caller.organization_id)
        return method_view({**cards[id], "is_default": True}, tx.now)


def remove_payment_method(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Remove a card. A payment that is under way with it goes on; then the provider forgets it.

    Raises:
        Refusal: `forbidden`; `not_found`, also if it was removed before.
    """
    caller.require(*BUYERS)
    with app.database.transaction() as tx:
        if id not in payment_method_storage.lock_all(tx, caller.organization_id):
            raise not_found("payment method")
        payment_method_storage.change(tx, id, state=MethodState.REMOVED, is_default=False, removed_at=tx.now)
        tx.audit(caller, "payment_method.removed", id, caller.organization_id)
    return {}
