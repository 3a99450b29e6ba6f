"""How a stored card looks from outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from credits.domain import codes
from credits.domain.cards import CardState, state_at


def state_of(row: Mapping[str, Any], now: datetime) -> CardState:
    """A stored card's state as seen at a moment."""
    return state_at(CardState(row["state"]), row["expires_at"], now)


def card_view(row: Mapping[str, Any], organization_id: str, now: datetime) -> dict[str, Any]:
    """A card as `messages.Card` has it.

    Args:
        row: the card with its order.
        organization_id: who looks; only the issuer learns which order the card came from.
        now: when.
    """
    claimed = row["claimant_id"] is not None
    return {
        "id": row["id"],
        "number_masked": codes.masked(row["number"]),
        "state": state_of(row, now),
        "credits": row["credits"],
        "issued_at": row["issued_at"],
        "claimed_at": row["claimed_at"],
        "expires_at": row["expires_at"],
        "order_id": row["order_id"] if row["issuer_id"] == organization_id else None,
        "claimant": {"id": row["claimant_id"], "name": row["claimant_name"]} if claimed else None,
        "issuer": {"id": row["issuer_id"], "name": row["issuer_name"]},
        **(_for_issuer(row) if row["issuer_id"] == organization_id else {}),
    }


def _for_issuer(row: Mapping[str, Any]) -> dict[str, Any]:
    number, domain = row["bound_organization_number"], row["bound_mail_domain"]
    return {
        "bound_to": {"organization_number": number, "mail_domain": domain} if number or domain else None,
        "frozen_by": row["frozen_by"],
        "split_from": row["parent_id"],
    }


def card_ended(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the events about a card that was never claimed have in common."""
    return {
        "card_id": row["id"],
        "number_masked": codes.masked(row["number"]),
        "credits": row["credits"],
        "order_id": row["order_id"],
        "issuer": {"id": row["issuer_id"], "name": row["issuer_name"]},
        "buyer": {"email": row["buyer_email"], "name": row["buyer_name"], "language": row["buyer_language"]},
    }
