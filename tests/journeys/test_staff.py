"""A clerk finds an order by whatever the customer says, and sees what happened to it."""

from __future__ import annotations

import csv
import uuid
from typing import Any

import pytest
from store import Store, card_mail, number_and_code

from chassis.testing import wait_until

pytestmark = pytest.mark.journey


def test_what_happened_to_an_order_is_one_list(store: Store) -> None:
    ada, grace, fay = (store.client(f"{name}.example") for name in ("ada@acme", "grace@globex", "fay@punchcard"))
    ada.empty_cart()
    order = ada.buy_card()
    number, code = number_and_code(card_mail(store, order))
    claimed = grace.ask("POST", "/v1/support-cards/claim", {"number": number, "code": code}, key=str(uuid.uuid4()))
    assert claimed.status_code == 200, claimed.text
    ada.fulfilled(order["id"])

    def steps(whose: Any, path: str) -> list[str]:
        return [item["what"] for item in whose.get(path)["items"]]

    own, staffs = f"/v1/orders/{order['id']}/timeline", f"/v1/admin/orders/{order['id']}/timeline"
    wait_until(lambda: steps(ada, own).count("mail.sent") == 3, "the receipt, the card and the claim notice to be told")
    told = steps(ada, own)
    assert told[:2] == ["order.placed", "payment.attempted"]
    assert {"payment.captured", "order.paid", "credits.issue", "order.fulfilled", "credits.claim"} < set(told)
    assert told.index("order.paid") < told.index("credits.issue") < told.index("credits.claim")
    assert sorted(steps(fay, staffs)) == sorted(told)
    assert code not in fay.ask("GET", staffs).text
    assert grace.ask("GET", own).status_code == 404
    assert grace.ask("GET", staffs).status_code == 403


def test_an_order_is_found_by_what_the_customer_says(store: Store) -> None:
    ada, fay = store.client(), store.client("fay@punchcard.example")
    ada.empty_cart()
    purchase_order = f"PO-{uuid.uuid4()}"
    cart = ada.fill_cart()
    order = ada.place(ada.order_body(cart, purchase_order={"number": purchase_order})).json()

    def found(query: str) -> list[str]:
        return [item["number"] for item in fay.get(f"/v1/admin/orders?limit=100&{query}")["items"]]

    for query in (f"purchase_order_number={purchase_order}", f"number={order['number']}"):
        assert found(query) == [order["number"]]
    for query in ("buyer_email=ada@acme.example", "last4=4242", "organization_id=org_acme&kind=order"):
        assert order["number"] in found(query)
    (charge,) = store.charges(order["id"])
    assert found(f"provider_id={charge['id']}") == [order["number"]]
    assert found("provider_id=ch_of_nobody") == []
    file = fay.ask("GET", f"/v1/admin/orders?number={order['number']}", headers={"Accept": "text/csv"})
    (row,) = csv.DictReader(file.text.splitlines())
    assert (row["purchase_order_number"], row["buyer.email"]) == (purchase_order, "ada@acme.example")
    assert ada.ask("GET", "/v1/admin/orders").status_code == 403


def test_who_did_what_is_on_record(store: Store) -> None:
    ada, fay = store.client(), store.client("fay@punchcard.example")
    ada.empty_cart()
    order = ada.order_by("wire")
    bank_reference = f"B-{uuid.uuid4()}"
    recorded = fay.record(order["totals"]["total"]["amount_minor"], bank_reference, order_id=order["id"])
    assert recorded.status_code == 201, recorded.text
    (line,) = fay.get(f"/v1/admin/audit?subject_id={order['id']}")["items"]
    assert (line["service"], line["action"]) == ("payments", "receipt.recorded")
    assert (line["actor_email"], line["details"]["bank_reference"]) == ("fay@punchcard.example", bank_reference)
    (step,) = [item for item in fay.get(f"/v1/admin/orders/{order['id']}/timeline")["items"] if item["by"] is not None]
    assert (step["what"], step["by"]) == ("receipt.recorded", "fay@punchcard.example")
