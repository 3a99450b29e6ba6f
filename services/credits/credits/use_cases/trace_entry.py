"""Explain an entry of the statement: which credits it moved, and where they came from (mission, B1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.identity import STAFF, Identity
from chassis.persistence import Reader, Row
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.crediting import line_of
from credits.storage import cards, ledger
from credits.use_cases.views import state_of
from kernel.errors import not_found

#: What a lot was used for is told of so many entries, the newest first.
_MOST_USES = 100


def trace_entry(app: App, caller: Identity, *, id: str, any_organization: bool) -> dict[str, Any]:
    """An entry, the lots that its credits belong to, and for each lot the card and the order line that brought it.

    An organisation that claimed a card of somebody else sees the card and its issuer; which order the card came from is
    the issuer's affair.

    Args:
        app: the service's parts.
        caller: any user of the organisation; or staff, who may ask for any organisation's.
        id: of the entry.
        any_organization: whether staff ask for any organisation's.

    Raises:
        Refusal: `forbidden`; `not_found`, for another organisation's entry as for one that does not exist.
    """
    if any_organization:
        caller.require(*STAFF)
    account = None if any_organization else ledger.organization_account(caller.organization_id)
    with app.database.reading() as reader:
        entry = ledger.find_entry(reader, id, account)
        if entry is None:
            raise not_found("entry")
        organization_id = ledger.owner_of(entry["account_id"])
        lots = ledger.moved_by(reader, id) or [{**entry, "lot_id": id, "credits": entry["amount"]}]
        origins = _origins(reader, organization_id, lots, reveal=any_organization)
        uses = ledger.uses_of(reader, id, _MOST_USES)
    return {
        "organization_id": organization_id,
        "entry": entry,
        "sources": [
            {
                "entry_id": lot["lot_id"], "kind": lot["kind"], "credits": lot["credits"], "memo": lot["memo"],
                "occurred_at": lot["occurred_at"], "expires_at": lot["expires_at"], "free": lot["free"],
                **origins[lot["lot_id"]],
            }
            for lot in lots
        ],
        "uses": uses,
    }  # fmt: skip


def _origins(reader: Reader, organization_id: str, lots: list[Row], *, reveal: bool) -> dict[str, dict[str, Any]]:
    """By lot, the card and the order that it came of, as far as the organisation may know."""
    found = {card["id"]: card for card in cards.by_ids(reader, [lot["card_id"] for lot in lots if lot["card_id"]])}

    def origin(lot: Mapping[str, Any]) -> dict[str, Any]:
        card = found.get(lot["card_id"])
        if card is not None:
            known = reveal or card["issuer_id"] == organization_id
            order = {"order_id": card["order_id"], "line_id": card["order_line_id"]} if known else None
            return {"card": _card(card, reader, known), "order": order}
        if lot["order_id"] is not None and lot["kind"] == "grant":
            return {"card": None, "order": {"order_id": lot["order_id"], "line_id": line_of(lot["cause"])}}
        return {"card": None, "order": None}

    return {lot["lot_id"]: origin(lot) for lot in lots}


def _card(card: Mapping[str, Any], reader: Reader, known: bool) -> dict[str, Any]:
    return {
        "id": card["id"],
        "number_masked": codes.masked(card["number"]),
        "state": state_of(card, reader.now),
        "credits": card["credits"],
        "issued_at": card["issued_at"],
        "claimed_at": card["claimed_at"],
        "issuer": {"id": card["issuer_id"], "name": card["issuer_name"]},
        # the cards that it was split off, up to the one that the order brought
        "split_from": cards.ancestors(reader, card) if known else [],
    }
