"""A reseller's day: contracts for the deployments of two customers and a card for one of them, paid by wire."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from punchcard.demo.client import Client, Mailbox, Refused, Stopped, line_of, money
from punchcard.says import say

_CONTRACT, _PACK = "CONTRACT-STANDARD", "HOURLY-300"


def buy_for_customers(reseller: Client, clerk: Client, customers: tuple[Client, Client], mails: Mailbox) -> None:
    """Walk through it.

    Args:
        reseller: manages the organisations of both customers.
        clerk: of finance, who sees what comes on the bank's statement.
        customers: admins; the card is for the first.
        mails: where the card comes.
    """
    deployments = [_deployment_of(reseller, customer) for customer in customers]
    say(f"1  {reseller.organization} finds the deployments of those it manages:")
    for found in deployments:
        say(f"   {found['id']} {found['name']} of {found['owner']['name']}")
    lines = [
        {"sku": _CONTRACT, "quantity": 1, "credit_destination": "organization", "deployment_id": found["id"]}
        for found in deployments
    ]
    cart = reseller.fill_cart(*lines, {"sku": _PACK, "quantity": 1, "credit_destination": "support_card"})
    order = reseller.place(cart, {"method": "wire"})
    reference = order["instructions"]["reference"]
    say(f"2  order {order['number']}: {order['state']}, {money(order['totals']['total'])} by wire with {reference}")
    _pay(clerk, order)
    order = reseller.fulfilled(order)
    for found in deployments:
        (bound, *_) = reversed(reseller.get(f"/v1/deployments/{found['id']}")["entitlements"])
        say(f"4  {bound['name']} is bound to {found['name']}; it cannot be moved")
    _hand_over(reseller, customers, order, mails)


def _deployment_of(reseller: Client, customer: Client) -> dict[str, Any]:
    for found in reseller.get("/v1/deployments?limit=100")["items"]:
        if found["owner"]["name"] == customer.organization and found["state"] == "active":
            deployment: dict[str, Any] = found
            return deployment
    raise Stopped(f"{reseller.organization} sees no deployment of {customer.organization}")


def _pay(clerk: Client, order: dict[str, Any]) -> None:
    total = order["totals"]["total"]
    first = total["amount_minor"] // 2
    for amount in (first, total["amount_minor"] - first):
        recorded = clerk.act(
            "/v1/admin/payments/receipts",
            {
                "reference": order["instructions"]["reference"],
                "method": "wire",
                "amount": {**total, "amount_minor": amount},
                "received_on": datetime.now(UTC).date().isoformat(),
                "bank_reference": f"DEMO-{uuid.uuid4().hex[:12].upper()}",
            },
        )
        left = recorded["payment"]["remaining"]
        say(f"3  {clerk.email} records {money(recorded['receipt']['amount'])}: {money(left)} left to pay")


def _hand_over(reseller: Client, customers: tuple[Client, Client], order: dict[str, Any], mails: Mailbox) -> None:
    chosen, other = customers
    (card,) = order["support_cards"]
    number = chosen.get("/v1/organization")["number"]
    reseller.act(f"/v1/support-cards/{card['id']}/bind", {"organization_number": number})
    say(f"5  card {card['number_masked']} is for {chosen.organization} (number {number}) alone")
    mail = mails.card_mail(reseller.email, order["number"])
    bearer = {"number": line_of(mail, "Card number"), "code": line_of(mail, "Claim code")}
    try:
        other.act("/v1/support-cards/claim", bearer)
    except Refused as refused:
        say(f"6  {other.organization} tries to claim it: {refused.code}")
    else:
        raise Stopped(f"{other.organization} claimed a card that is not for it")
    claimed = chosen.act("/v1/support-cards/claim", bearer)
    say(f"7  {chosen.organization} claimed it: {claimed['credits']} credits")
