"""Bring the credits of a paid order to where they belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chassis.messages import Event
from chassis.persistence import IntegrityError, Transaction
from credits.bootstrap import App
from credits.domain import codes
from credits.domain.crediting import Grant, NewCard, plan
from credits.domain.validity import expiry, valid_days
from credits.messages import ORDER_CREDITED
from credits.storage import cards, ledger
from credits.use_cases.making_cards import make_card, reminder


def credit_orders(app: App, events: Sequence[Event]) -> None:
    """Post the grants and issue the cards of orders, once each, and say so.

    The inbox drops the same event, `cards.begin_order` another event about the same order, and the ledger's unique
    causes stand behind both.

    Args:
        app: the service's parts.
        events: ``cart.order_paid.v1``.

    Raises:
        IntegrityError: one of several is about an order that is credited already; nothing was done.
    """
    try:
        with app.database.transaction() as tx:
            for event in tx.accept_each(events):
                if _brings(event.data):
                    _credit(app, tx, event.data)
    except IntegrityError as error:
        if len(events) > 1 or not cards.is_begun(error):
            raise


def _brings(order: Mapping[str, Any]) -> bool:
    return any(line["credits"] for line in order["lines"])


def _credit(app: App, tx: Transaction, order: Mapping[str, Any]) -> None:
    cards.begin_order(tx, _order_row(order))
    grants, new_cards = plan(order["number"], order["lines"])
    for grant in grants:
        _post_grant(app, tx, order, grant)
    issued = [_issue_card(app, tx, order, new_card) for new_card in new_cards]
    tx.emit(ORDER_CREDITED, _order_credited(order["order_id"], grants, issued))


def _order_row(order: Mapping[str, Any]) -> dict[str, Any]:
    organization, buyer = order["organization"], order["buyer"]
    return {
        "id": order["order_id"],
        "number": order["number"],
        "organization_id": organization["id"],
        "organization_name": organization["name"],
        "buyer_user_id": buyer["user_id"],
        "buyer_email": buyer["email"],
        "buyer_name": buyer["name"],
        "buyer_language": buyer["language"],
    }


def _post_grant(app: App, tx: Transaction, order: Mapping[str, Any], grant: Grant) -> None:
    account = ledger.open_account(tx, ledger.organization_account(order["organization"]["id"]))
    ledger.post(
        tx, "grant", cause=grant.cause, source=ledger.ISSUANCE, destination=account, amount=grant.credits,
        memo=grant.memo, order_id=order["order_id"],
        expires_at=expiry(valid_days(grant.valid_days, app.credits_valid_days), tx.now),
    )  # fmt: skip


def _issue_card(app: App, tx: Transaction, order: Mapping[str, Any], new_card: NewCard) -> dict[str, str]:
    expires_at = None if app.card_validity is None else tx.now + app.card_validity
    made = make_card(
        app,
        tx,
        {
            "order_id": order["order_id"],
            "order_number": order["number"],
            "buyer": order["buyer"],
            "issuer": order["organization"],
        },
        {
            "credits": new_card.credits,
            "order_line_id": new_card.line_id,
            "sequence": new_card.sequence,
            "expires_at": expires_at,
            "remind_at": reminder(app, expires_at, tx.now),
            "credits_valid_days": valid_days(new_card.valid_days, app.credits_valid_days),
        },
    )
    card_id = made["card_id"]
    ledger.post(
        tx, "issue", cause=new_card.cause, source=ledger.ISSUANCE, destination=ledger.card_account(card_id),
        amount=new_card.credits, memo=new_card.memo, order_id=order["order_id"], card_id=card_id,
    )  # fmt: skip
    return {"card_id": card_id, "line_id": new_card.line_id, "number_masked": codes.masked(made["number"])}


def _order_credited(order_id: str, grants: Sequence[Grant], issued: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    line_ids = [grant.line_id for grant in grants] + [card["line_id"] for card in issued]
    return {
        "order_id": order_id,
        "line_ids": list(dict.fromkeys(line_ids)),
        "grants": [{"line_id": grant.line_id, "credits": grant.credits} for grant in grants],
        "cards": issued,
    }
