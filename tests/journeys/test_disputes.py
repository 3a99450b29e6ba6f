"""A payer has the bank take the money back: what finance sees and does, and what the buyer still has meanwhile."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from store import Client, Store, number_and_code

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

#: A webhook comes after ten seconds; without one the provider is asked every minute.
_HEARD_S = 120


def _disputed(store: Store, ada: Client) -> tuple[Any, Any]:
    """An order of two cards that is disputed by its payer: as the buyer and as finance see it."""
    ada.empty_cart()
    placed = ada.place(ada.order_body(ada.fill_cart(quantity=2), card="disputed")).json()
    path = f"/v1/orders/{placed['id']}"

    def frozen() -> bool:
        order = ada.get(path)
        return order["dispute"] is not None and {card["state"] for card in order["support_cards"]} == {"frozen"}

    wait_until(frozen, "the dispute", _HEARD_S)
    finance = store.client("fay@punchcard.example")
    [found] = finance.get(f"/v1/admin/disputes?order_id={placed['id']}")["items"]
    return ada.get(path), found


def _codes(store: Store, order: Any) -> list[tuple[str, str]]:
    wait_until(lambda: len(store.card_mails(order["number"])) == 2, "the card mails", 60)
    return [number_and_code(mail) for mail in store.card_mails(order["number"])]


def _claim(client: Client, number: str, code: str) -> Any:
    return client.ask("POST", "/v1/support-cards/claim", {"number": number, "code": code}, key=str(uuid.uuid4()))


def _answer(store: Store, dispute: Any, what: str, body: Any) -> Any:
    finance = store.client("fay@punchcard.example")
    return finance.ask("POST", f"/v1/admin/disputes/{dispute['id']}/{what}", body, key=str(uuid.uuid4()))


def test_evidence_wins_and_the_cards_are_good_again(store: Store) -> None:
    ada, gus = store.client(), store.client("gus@globex.example")
    order, dispute = _disputed(store, ada)
    assert (order["dispute"]["state"], order["dispute"]["amount"]) == ("open", order["totals"]["total"])
    assert (dispute["state"], dispute["order_id"]) == ("open", order["id"])
    (number, code), _ = _codes(store, order)
    assert _claim(gus, number, code).json()["code"] == "card_not_claimable"
    card = order["support_cards"][0]["id"]
    refused = ada.ask("POST", f"/v1/support-cards/{card}/recall", key=str(uuid.uuid4()))
    assert (refused.status_code, refused.json()["code"]) == (409, "card_disputed")
    refund = {"reason": "They asked", "claimed": "refuse"}
    finance = store.client("fay@punchcard.example")
    refused = finance.ask("POST", f"/v1/admin/orders/{order['id']}/refund", refund, key=str(uuid.uuid4()))
    assert (refused.status_code, refused.json()["code"]) == (409, "order_disputed")

    assert _answer(store, dispute, "evidence", {"evidence": "Signed for by the buyer"}).status_code == 200
    store.decide_dispute(_provider_id(store, order), "won")

    path = f"/v1/orders/{order['id']}"
    wait_until(lambda: {card["state"] for card in ada.get(path)["support_cards"]} == {"issued"}, "the cards", _HEARD_S)
    assert ada.get(path)["dispute"]["state"] == "won"
    assert _claim(gus, number, code).status_code == 200


def test_accepted_the_cards_are_taken_back(store: Store) -> None:
    ada, gus = store.client(), store.client("gus@globex.example")
    order, dispute = _disputed(store, ada)
    assert _answer(store, dispute, "accept", {}).status_code == 200

    path = f"/v1/orders/{order['id']}"
    wait_until(
        lambda: {card["state"] for card in ada.get(path)["support_cards"]} == {"recalled"}, "the cards", _HEARD_S
    )
    assert ada.get(path)["dispute"]["state"] == "lost"
    for number, code in _codes(store, order):
        assert _claim(gus, number, code).json()["code"] == "card_not_claimable"
    steps = [step["what"] for step in store.client("fay@punchcard.example").get(
        f"/v1/admin/orders/{order['id']}/timeline")["items"]]  # fmt: skip
    assert [what for what in steps if what.startswith("order.dispute")] == ["order.disputed", "order.dispute_lost"]


def _provider_id(store: Store, order: Any) -> str:
    [found] = store.disputes(order["id"])
    return str(found["id"])
