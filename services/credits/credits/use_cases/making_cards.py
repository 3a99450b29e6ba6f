"""Make a card: its number, its code, its account, and the event that brings both to the buyer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.domain import codes
from credits.messages import CARD_ISSUED
from credits.storage import cards, ledger
from kernel.ids import new_id


def make_card(app: App, tx: Transaction, order: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    """Keep a new card with an empty account; the caller posts its credits.

    Args:
        app: the service's parts.
        tx: where.
        order: order_id, order_number, buyer, issuer, as the event has them.
        values: what is to be kept of the card beyond that.

    Returns:
        card_id and number.
    """
    card_id, number, code = new_id("scc"), codes.new_number(), codes.new_claim_code()
    cards.add_card(
        tx,
        {
            "id": card_id,
            "number": number,
            "code_mac": codes.code_mac(app.code_pepper, number, code),
            "order_id": order["order_id"],
            "issuer_id": order["issuer"]["id"],
            **values,
        },
    )
    ledger.open_account(tx, ledger.card_account(card_id))
    tx.emit(
        CARD_ISSUED,
        {
            "card_id": card_id,
            "number": number,
            "sealed_code": app.sealer.seal(code),
            "credits": values["credits"],
            "expires_at": values["expires_at"],
            **order,
        },
    )
    return {"card_id": card_id, "number": number}


def order_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """What events say of the order that a stored card came from."""
    return {
        "order_id": card["order_id"],
        "order_number": card["order_number"],
        "buyer": {
            "user_id": card["buyer_user_id"], "email": card["buyer_email"], "name": card["buyer_name"],
            "language": card["buyer_language"],
        },
        "issuer": {"id": card["issuer_id"], "name": card["issuer_name"]},
    }  # fmt: skip


def reminder(app: App, expires_at: datetime | None, now: datetime) -> datetime | None:
    """When to remind of a card that expires; None if it does not, or lives too short for a reminder to be of use."""
    if expires_at is None or app.card_reminder is None:
        return None
    moment = expires_at - app.card_reminder
    return moment if moment > now + timedelta(days=1) else None
