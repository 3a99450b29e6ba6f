"""The main job: buy a card, read the mail, claim the card as somebody else."""

from __future__ import annotations

from typing import Any

from punchcard.demo.client import Client, Mailbox, line_of, money
from punchcard.says import say


def buy_and_claim(buyer: Client, claimant: Client, mails: Mailbox, token: str) -> None:
    """Walk through it.

    Args:
        buyer: pays by card.
        claimant: of another organisation.
        mails: where the card comes.
        token: of the payment provider, for a card that can be charged.
    """
    say(f"1  signed in as {buyer.email} of {buyer.organization}")
    order = _buy(buyer, token)
    mail = mails.card_mail(buyer.email, order["number"])
    number, code = line_of(mail, "Card number"), line_of(mail, "Claim code")
    say(f"5  mail to {mail['to']}: {mail['subject']!r}: card {number}, code ending in {code[-4:]}")
    preview = claimant.send("POST", "/v1/support-cards/preview", {"number": number, "code": code})
    say(f"6  {claimant.organization} looks at it: {preview['credits']} credits for {preview['organization']['name']}")
    claimed = claimant.act("/v1/support-cards/claim", {"number": number, "code": code})
    say(f"7  {claimant.organization} claimed it: {claimed['credits']} credits")
    for client in (buyer, claimant):
        say(f"8  balance of {client.organization}: {client.get('/v1/credits')['balance']} credits")


def _buy(client: Client, token: str) -> dict[str, Any]:
    products = client.get("/v1/products")["items"]
    pack = min((item for item in products if item["kind"] == "credit_pack"), key=lambda item: int(item["credits"]))
    cart = client.fill_cart({"sku": pack["sku"], "quantity": 1, "credit_destination": "support_card"})
    say(f"2  in the cart: {pack['name']} on a support credit card, {money(cart['totals']['total'])}")
    order = client.place(cart, {"method": "card", "provider_token": token})
    card = order["payment"].get("card") or {}
    say(f"3  order {order['number']}: {order['state']}, {card.get('brand')} ending in {card.get('last4')}")
    order = client.fulfilled(order)
    cards = ", ".join(f"{each['number_masked']} {each['state']}" for each in order["support_cards"])
    say(f"4  order {order['number']}: {order['state']}; {cards}")
    return order
