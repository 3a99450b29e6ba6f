"""What staff who reconcile are told of every order."""

from __future__ import annotations

from typing import Any

import pytest

from cart import messages
from cart.use_cases.order_facts import order_facts
from cart.use_cases.paid_orders import paid_orders
from chassis.messages import dump_checked
from chassis.testing import emitted, identity
from kernel.errors import Refusal

STAFF = identity("finance", organization_id="org_punchcard")


def facts(shop: Any, caller: Any = STAFF, limit: int = 100, cursor: str | None = None) -> Any:
    return dump_checked(messages.OrderFacts(), order_facts(shop.app, caller, limit=limit, cursor=cursor))


def test_every_order_with_what_it_is_owed_whoever_placed_it(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add("CONTRACT", 2, deployment_id="dep_one", credit_destination="organization")
    shop.add("BOX", 1)
    paid = shop.place()["order"]
    stranger = identity(user_id="usr_gus", organization_id="org_globex")
    shop.add("BOX", 1, caller=stranger)
    shop.bus.payments = "failed"
    shop.refused(shop.place, "key-2", stranger)
    declined, first = facts(shop)["items"]
    assert (declined["state"], declined["paid_at"], len(declined["lines"])) == ("cancelled", None, 1)
    assert first == {
        "order_id": paid["id"], "number": paid["number"], "state": "paid", "paid_at": paid["paid_at"],
        "payment_method": "card", "total": paid["totals"]["total"], "problem": None, "refund": None, "refunds": [],
        "dispute": None,
        "lines": [
            {"line_id": paid["lines"][0]["id"], "quantity": 2, "credits": 60, "credit_destination": "organization",
             "is_bound": True, "handed_over": False},
            {"line_id": paid["lines"][1]["id"], "quantity": 1, "credits": 0, "credit_destination": None,
             "is_bound": False, "handed_over": True},
        ],
    }  # fmt: skip


def test_pages_go_on_where_they_ended(shop: Any) -> None:
    for number in range(3):
        shop.add("BOX", 1)
        shop.place(f"key-{number}")
    first = facts(shop, limit=2)
    second = facts(shop, limit=2, cursor=first["next"])
    assert (len(first["items"]), len(second["items"]), second["next"]) == (2, 1, None)
    assert len({order["order_id"] for page in (first, second) for order in page["items"]}) == 3


@pytest.mark.parametrize("role", ["viewer", "buyer", "admin"])
def test_customers_are_refused(shop: Any, role: str) -> None:
    assert shop.refused(facts, shop, identity(role)).code == "forbidden"


def test_paid_orders_are_told_again_as_their_events_told_them(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add("CONTRACT", 1, deployment_id="dep_one", credit_destination="organization")
    shop.add("BOX", 1)
    paid = shop.place()["order"]
    shop.add("BOX", 1)
    shop.bus.payments = "failed"
    shop.refused(shop.place, "key-2")
    ids = [item["order_id"] for item in facts(shop)["items"]]
    assert len(ids) == 2
    [event] = [data for name, data in emitted(shop.database) if name == "cart.order_paid.v1"]
    told = dump_checked(messages.PaidOrders(), paid_orders(shop.app, None, order_ids=[*ids, "ord_unknown"]))
    assert told == {"items": [event]}
    assert event["order_id"] == paid["id"]
    terms = {line["sku"]: (line["term_months"], line["credits_valid_days"]) for line in event["lines"]}
    assert terms == {"CONTRACT": (24, 90), "BOX": (None, None)}
    assert paid_orders(shop.app, STAFF, order_ids=ids) == told
    with pytest.raises(Refusal):
        paid_orders(shop.app, identity(), order_ids=ids)
