"""What staff who reconcile are told of what orders brought."""

from __future__ import annotations

import pytest

from chassis.messages import dump_checked
from chassis.testing import identity
from credits import messages
from credits.use_cases.order_facts import order_facts
from kernel.errors import Refusal

STAFF = identity("superuser", organization_id="org_punchcard")


def test_grants_and_cards_by_line_and_no_claims(desk, line):
    desk.pay(line("lin_a", credits=100, quantity=3), line("lin_b", credits=60, quantity=2, to="support_card"))
    card_id, number, code = desk.buy_card(credits=300, order_id="ord_2")
    desk.claim(number, code)
    told = dump_checked(messages.OrderFacts(), order_facts(desk.app, STAFF, limit=100, cursor=None))
    assert told["next"] is None
    found = sorted((item["order_id"], item["line_id"], item["credits"]) for item in told["items"])
    assert found == [
        ("ord_1", "lin_a", 300),
        ("ord_1", "lin_b", 60),
        ("ord_1", "lin_b", 60),
        ("ord_2", "lin_ord_2", 300),
    ]
    cards = [item["card_id"] for item in told["items"]]
    assert cards.count(None) == 1
    assert len(set(cards)) == 4
    assert card_id in cards
    page = order_facts(desk.app, STAFF, limit=3, cursor=None)
    rest = order_facts(desk.app, STAFF, limit=3, cursor=page["next"])
    assert page["items"] + rest["items"] == told["items"]


@pytest.mark.parametrize("role", ["viewer", "buyer", "admin"])
def test_customers_are_refused(desk, role):
    with pytest.raises(Refusal, match="role"):
        order_facts(desk.app, identity(role), limit=1, cursor=None)
