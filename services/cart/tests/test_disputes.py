"""Disputes: noted with the order in whatever order they are told, and told on once there is something to freeze."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from cart import messages
from cart.domain.dispute import Dispute, DisputeProblem, DisputeState
from cart.use_cases.decide_refund import decide_refund
from cart.use_cases.get_order import get_order
from cart.use_cases.hand_over_lines import hand_over_lines
from cart.use_cases.note_dispute import note_dispute
from cart.use_cases.order_facts import order_facts
from cart.use_cases.order_steps import order_steps
from cart.use_cases.refund_order import refund_order
from cart.use_cases.search_orders import search_orders
from cart.use_cases.settle_order import UnknownOrderError
from chassis.testing import emitted, identity, make_event
from kernel.errors import Kind, Refusal

FINANCE = identity("finance", user_id="usr_fay", organization_id="org_punchcard", organization="Punchcard")
TOLD = ("cart.order_disputed.v1", "cart.order_dispute_closed.v1")


def said(shop: Any, order: dict[str, Any], amount_minor: int | None = None, **more: Any) -> dict[str, Any]:
    total = order["totals"]["total"]["amount_minor"]
    usd = {"currency": "USD"}
    return {
        "dispute_id": "dsp_1", "order_id": order["id"], "intent_id": "pay_1",
        "amount": {"amount_minor": total if amount_minor is None else amount_minor, **usd},
        "captured": {"amount_minor": total, **usd}, **more,
    }  # fmt: skip


def opened(shop: Any, order: dict[str, Any], amount_minor: int | None = None, **more: Any) -> None:
    data = said(shop, order, amount_minor, reason="fraudulent", opened_at="2026-11-22T12:00:00.000Z", **more)
    note_dispute(shop.app, make_event("payments.dispute_opened.v1", messages.PaymentDisputed().load(data)))


def closed(shop: Any, order: dict[str, Any], outcome: str, amount_minor: int | None = None, **more: Any) -> None:
    data = said(shop, order, amount_minor, outcome=outcome, closed_at="2026-11-23T12:00:00.000Z", **more)
    note_dispute(shop.app, make_event("payments.dispute_closed.v1", messages.PaymentDisputeClosed().load(data)))


def credited(shop: Any, order: dict[str, Any]) -> None:
    data = {"order_id": order["id"], "line_ids": [line["id"] for line in order["lines"]]}
    hand_over_lines(shop.app, [make_event("credits.order_credited.v1", data)], "awaits_credits")


def placed(shop: Any, quantity: int = 3) -> Any:
    """An order of some packs of 120 credits, paid, whose credits are still to come."""
    shop.add_pack(quantity)
    return shop.place()["order"]


def told(shop: Any) -> list[tuple[str, Any]]:
    """What the others were told: opened with its reason, or the outcome with the credits that may be taken back."""
    return [
        ("open", data["reason"]) if name == TOLD[0] else (data["outcome"], data["credits"])
        for name, data in emitted(shop.database)
        if name in TOLD
    ]


def shown(shop: Any, order: dict[str, Any]) -> Any:
    return get_order(shop.app, shop.buyer, order["id"])["dispute"]


def refund(shop: Any, order: dict[str, Any], key: str = "refund-1", **more: Any) -> Any:
    wish = {"reason": "Bought twice", "claimed": "refuse", **more}
    return refund_order(shop.app, FINANCE, idempotency_key=key, order_id=order["id"], **wish)["refund"]


def code_of(shop: Any, order: dict[str, Any], key: str) -> str:
    with pytest.raises(Refusal) as refused:
        refund(shop, order, key)
    return refused.value.code


def test_it_is_shown_with_the_order_and_told_on(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = placed(shop)
    credited(shop, order)
    assert shown(shop, order) is None
    opened(shop, order)
    assert shown(shop, order) == {
        "state": "open", "amount": order["totals"]["total"], "reason": "fraudulent",
        "opened_at": "2026-11-22T12:00:00.000Z", "closed_at": None,
    }  # fmt: skip
    assert [found["dispute"] for found in search_orders(shop.app, FINANCE, limit=9)["items"]] == ["open"]
    closed(shop, order, "won")
    assert shown(shop, order)["state"] == "won"
    assert told(shop) == [("open", "fraudulent"), ("won", None)]
    facts = order_facts(shop.app, FINANCE, limit=9, cursor=None)["items"]
    assert [fact["dispute"] for fact in facts] == [{"dispute_id": "dsp_1", "state": "won"}]
    with shop.database.reading() as reader:
        steps = [step.what for step in order_steps(reader, order["id"], None)]
    assert steps[-2:] == ["order.disputed", "order.dispute_won"]
    assert get_order(shop.app, shop.buyer, order["id"])["state"] == "fulfilled"


@pytest.mark.parametrize(("outcome", "expected"), [(None, ("open", "fraudulent")), ("lost", ("lost", None))])
def test_before_the_credits_have_come_nobody_is_told_and_then_at_once(
    shop_on_both: Any, outcome: str | None, expected: tuple[str, Any]
) -> None:
    shop = shop_on_both
    order = placed(shop)
    opened(shop, order)
    if outcome:
        closed(shop, order, outcome)
    assert told(shop) == []
    credited(shop, order)
    assert told(shop) == [expected]
    credited(shop, order)
    assert told(shop) == [expected]


def test_in_any_order_and_twice_is_once(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = placed(shop)
    credited(shop, order)
    for _ in range(2):
        closed(shop, order, "lost")
        opened(shop, order)
    assert told(shop) == [("lost", None)]
    assert (shown(shop, order)["state"], shown(shop, order)["reason"]) == ("lost", "fraudulent")


def test_a_dispute_against_the_last_credits_at_once_is_told_once(shop_on_both: Any) -> None:
    shop = shop_on_both
    for number in range(5):
        shop.add_pack()
        order = shop.place(f"key-{number}")["order"]
        before = len(told(shop))
        with ThreadPoolExecutor(2) as threads:
            for done in [
                threads.submit(opened, shop, order, dispute_id=f"dsp_{number}"), threads.submit(credited, shop, order)
            ]:  # fmt: skip
                done.result()
        assert told(shop)[before:] == [("open", "fraudulent")]


def test_what_fits_no_order_is_for_a_person(shop: Any) -> None:
    order = placed(shop)
    opened(shop, order)
    with pytest.raises(DisputeProblem):
        closed(shop, order, "won", dispute_id="dsp_2")
    with pytest.raises(UnknownOrderError):
        opened(shop, {**order, "id": "ord_none"})
    assert shown(shop, order)["state"] == "open"


@pytest.mark.parametrize(
    ("amount", "refunded", "share"),
    [(36000, 0, None), (35999, 0, 359), (1, 0, 0), (30000, 6000, None), (12000, 6000, 120)],
)
def test_a_part_takes_its_share_rounded_down_and_what_is_all_that_is_left_takes_all(
    amount: int, refunded: int, share: int | None
) -> None:
    assert Dispute("dsp_1", "ord_1", DisputeState.LOST, amount, 36000).share(360, refunded) == share


def test_what_was_given_back_before_counts(shop: Any) -> None:
    order = placed(shop)
    credited(shop, order)
    shop.bus.money_only = True
    refund(shop, order, amount={"amount_minor": 6000, "currency": "USD"})
    closed(shop, order, "lost", order["totals"]["total"]["amount_minor"] - 6000)
    assert told(shop) == [("lost", None)]


def test_nothing_is_refunded_while_it_is_open_or_lost(shop: Any) -> None:
    order = placed(shop)
    credited(shop, order)
    opened(shop, order)
    assert code_of(shop, order, "k1") == "order_disputed"
    closed(shop, order, "lost")
    assert code_of(shop, order, "k2") == "order_disputed"
    assert shop.bus.taken_back == {}


def test_after_it_is_won_the_order_is_refunded_as_any(shop: Any) -> None:
    order = placed(shop)
    credited(shop, order)
    opened(shop, order)
    closed(shop, order, "won")
    assert refund(shop, order)["state"] == "done"


def test_a_refund_that_waits_for_a_yes_gets_none_while_it_is_disputed(shop: Any) -> None:
    shop.add_pack(10)
    order = shop.place()["order"]
    credited(shop, order)
    shop.app = replace(shop.app, settings=replace(shop.app.settings, refund_approval_above_minor=1))
    asked = refund(shop, order)
    assert asked["state"] == "awaiting_approval"
    opened(shop, order)
    other = identity("finance", user_id="usr_finn", organization_id="org_punchcard")
    with pytest.raises(Refusal, match="order_disputed"):
        decide_refund(shop.app, other, idempotency_key="yes", id=asked["id"], approve=True)
    assert decide_refund(shop.app, other, idempotency_key="no", id=asked["id"], approve=False)["refund"]["state"] == (
        "rejected"
    )


def test_a_refund_that_is_under_way_when_it_is_opened_ends_one_way_or_the_other(shop: Any) -> None:
    """Credits were frozen first: nothing was changed. The money was already on its way: the provider decides."""
    first = placed(shop)
    credited(shop, first)

    def frozen(method: str) -> None:
        if method == "take_back_order":
            opened(shop, first)
            raise Refusal(Kind.CONFLICT, "order_disputed", "The payment of this order is disputed.")

    shop.bus.before = frozen
    assert code_of(shop, first, "k1") == "order_disputed"
    assert shown(shop, first)["state"] == "open"

    shop.bus.before = lambda method: None
    shop.add_pack()
    second = shop.place("key-2")["order"]
    credited(shop, second)
    shop.bus.refunds = "failed"  # the provider: charge_disputed
    assert code_of(shop, second, "k2") == "refund_failed"
    opened(shop, second, dispute_id="dsp_2")
    closed(shop, second, "lost", dispute_id="dsp_2")
    assert told(shop)[-1] == ("lost", None)
