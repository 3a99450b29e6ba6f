"""The alert of a low balance: once as it falls below, and again only after it was above."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from chassis.testing import identity
from credits.use_cases.balance_alert import get_alert, set_alert
from credits.use_cases.expire_credits import expire_credits
from kernel.errors import Refusal


def alerts(desk) -> list[tuple[int, int]]:
    return [(event["balance"], event["threshold"]) for event in desk.events("credits.balance_low.v1")]


def test_a_spend_that_brings_it_below_sends_one_mail(desk, line):
    desk.pay(line("lin_a", credits=100))
    assert set_alert(desk.app, desk.acme, threshold=60) == {"threshold": 60, "email": "ada@acme.example"}
    assert get_alert(desk.app, identity("viewer")) == {"threshold": 60, "email": "ada@acme.example"}
    desk.spend(40)
    assert alerts(desk) == []  # not below yet
    spend = desk.spend(1, cause="ticket-2")
    desk.spend(1, cause="ticket-3")
    [event] = desk.events("credits.balance_low.v1")
    assert (event["entry_id"], event["balance"], event["threshold"]) == (spend["id"], 59, 60)
    assert event["recipient"] == {"email": "ada@acme.example", "name": "Ada Buyer", "language": "en"}
    desk.grant(100)
    desk.adjust(-150)
    assert alerts(desk) == [(59, 60), (8, 60)]


def test_an_expiry_that_brings_it_below_sends_one_mail(desk):
    desk.grant(50)
    desk.grant(30, expires_at=desk.clock.now() + timedelta(days=1))
    desk.grant(30, expires_at=desk.clock.now() + timedelta(days=1))
    set_alert(desk.app, desk.acme, threshold=60)
    desk.clock.advance(days=1)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: expire_credits(desk.app), range(3)))
    assert alerts(desk) == [(50, 60)]


def test_a_refund_that_brings_it_below_sends_one_mail(desk, line):
    desk.grant(30)
    desk.pay(line("lin_a", credits=100))
    desk.pay(line("lin_b", credits=60), order_id="ord_2")
    set_alert(desk.app, desk.acme, threshold=100)
    desk.take_back(lines=[{"line_id": "lin_a", "credits": 90}])
    assert alerts(desk) == []  # exactly the threshold
    desk.take_back("ord_2", refund_id="rfd_2")
    desk.take_back("ord_2", refund_id="rfd_2")
    desk.take_back(refund_id="rfd_3")
    assert alerts(desk) == [(40, 100)]
    set_alert(desk.app, desk.acme, threshold=20)
    desk.pay(line("lin_c", credits=20), order_id="ord_3")
    desk.spend(30)
    desk.take_back("ord_3", refund_id="rfd_4", lines=[{"line_id": "lin_c", "credits": 15}])
    assert alerts(desk)[1:] == [(5, 20)]


def test_spends_at_once_send_one_mail(postgres_desk, line):
    desk = postgres_desk
    desk.pay(line("lin_a", credits=100))
    set_alert(desk.app, desk.acme, threshold=60)
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda n: desk.spend(9, cause=f"t-{n}", key=f"s-{n}"), range(10)))
    assert alerts(desk) == [(55, 60)]


def test_an_alert_is_changed_and_lifted(desk, line):
    desk.pay(line("lin_a", credits=100))
    set_alert(desk.app, desk.acme, threshold=60)
    set_alert(desk.app, desk.acme, threshold=90)
    desk.spend(20)
    set_alert(desk.app, desk.acme, threshold=None)
    assert get_alert(desk.app, desk.acme) == {"threshold": None, "email": None}
    desk.spend(70, cause="ticket-2")
    assert alerts(desk) == [(80, 90)]
    assert get_alert(desk.app, desk.bolt)["threshold"] is None


@pytest.mark.parametrize("role", ["ticket", "viewer", "support"])
def test_only_buyers_and_admins_set_it(desk, role):
    with pytest.raises(Refusal) as refused:
        set_alert(desk.app, identity(role), threshold=60)
    assert refused.value.code == "forbidden"
