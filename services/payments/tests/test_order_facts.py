"""What staff who reconcile are told of every intent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chassis.messages import dump_checked
from chassis.testing import identity
from kernel.errors import Refusal
from payments import messages
from payments.bootstrap import App
from payments.offline_provider import PROVIDER_TOKENS
from payments.use_cases.order_facts import order_facts

STAFF = identity("support", organization_id="org_punchcard")


def test_every_intent_with_what_was_captured(app: App, pay: Callable[..., dict[str, Any]]) -> None:
    captured = pay(app)
    failed = pay(app, PROVIDER_TOKENS["declined"], order_id="ord_2")
    told = dump_checked(messages.OrderFacts(), order_facts(app, STAFF, limit=100, cursor=None))
    amount = {"amount_minor": 12000, "currency": "USD"}
    card = {"method": "card", "amount": amount, "received": {**amount, "amount_minor": 0}}
    card.update(
        surplus=card["received"], refunded_minor=0, dispute=None, strays=0, strays_returned=0, strays_returned_minor=0
    )
    assert told["next"] is None
    assert sorted(told["items"], key=lambda item: item["order_id"]) == [
        {"order_id": "ord_1", "intent_id": captured["intent_id"], "state": "captured", "captures": 1, **card},
        {"order_id": "ord_2", "intent_id": failed["intent_id"], "state": "failed", "captures": 0, **card},
    ]
    page = order_facts(app, STAFF, limit=1, cursor=None)
    rest = order_facts(app, STAFF, limit=1, cursor=page["next"])
    assert {item["order_id"] for item in page["items"] + rest["items"]} == {"ord_1", "ord_2"}


@pytest.mark.parametrize("role", ["viewer", "buyer", "admin"])
def test_customers_are_refused(app: App, role: str) -> None:
    with pytest.raises(Refusal, match="role"):
        order_facts(app, identity(role), limit=1, cursor=None)
