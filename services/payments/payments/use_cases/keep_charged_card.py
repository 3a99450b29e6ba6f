"""Have the card saved that a buyer has just paid with, because they want it to be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kernel.ids import new_id
from payments import payment_method_storage
from payments.domain.payment_methods import MOST_CARDS

if TYPE_CHECKING:
    from chassis.persistence import Transaction
    from payments.bootstrap import App
    from payments.domain.provider import Attempt, Captured

_log = logging.getLogger(__name__)


def keep_charged_card(app: App, tx: Transaction, attempt: Attempt, captured: Captured) -> None:
    """Note the wish with the capture, which happens once; `settle_payment_methods` has the provider keep the card.

    The one-time token has served, so the charge stands for the card. Where no more cards may be saved, this one is
    not: its buyer has paid, and need not be refused for that.
    """
    payer = payment_method_storage.payer_of(tx, attempt.intent_id)
    if payment_method_storage.count(tx, payer["organization_id"]) >= MOST_CARDS:
        _log.warning("a card is not saved, since no more may be", extra={"order_id": attempt.order_id})
        return
    payment_method_storage.add(
        tx,
        {
            "id": new_id("pm"), "organization_id": payer["organization_id"], "provider_token": captured.charge_id,
            "idempotency_key": f"attempt:{attempt.id}", "created_by": payer["user_id"], "next_check_at": tx.now,
        },
    )  # fmt: skip
    tx.after_commit(app.save_cards_soon)
