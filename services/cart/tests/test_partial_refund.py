"""A part of an order given back, the second pair of eyes, and money that staff must send."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from cart import messages, storage
from cart.domain.refund import Refund, RefundState
from cart.use_cases.decide_refund import decide_refund
from cart.use_cases.get_order import get_order
from cart.use_cases.get_refund import find_refund, list_refunds
from cart.use_cases.hand_over_lines import hand_over_lines
from cart.use_cases.order_facts import order_facts
from cart.use_cases.refund_order import refund_order
from cart.use_cases.settle_order import settle_orders_by_event
from cart.use_cases.settle_refund import SUCCEEDED, end_refund_by_event
from chassis.messages import dump_checked, load_request
from chassis.testing import emitted, identity, make_event
from kernel.errors import Refusal

FAY = identity("finance", user_id="usr_fay", organization_id="org_punchcard", organization="Punchcard")
FINN = identity("finance", user_id="usr_finn", organization_id="org_punchcard", organization="Punchcard")


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


def handed_over(shop: Any, order: dict[str, Any]) -> dict[str, Any]:
    data = {"order_id": order["id"], "line_ids": [line["id"] for line in order["lines"]]}
    hand_over_lines(shop.app, [make_event("credits.order_credited.v1", data)], "awaits_credits")
    return order


def three_packs(shop: Any) -> dict[str, Any]:
    """An order of three packs on cards (12,000 each) and a box (30,000): 66,000 in all."""
    shop.add_pack(3)
    shop.add("BOX")
    return handed_over(shop, shop.place()["order"])


def line_of(order: dict[str, Any], sku: str = "PACK-120") -> str:
    return next(line["id"] for line in order["lines"] if line["sku"] == sku)


def ask(shop: Any, order: dict[str, Any], key: str = "refund-1", caller: Any = FAY, **changes: Any) -> Any:
    body = {"idempotency_key": key, "order_id": order["id"], "reason": "One too many", **changes}
    reply = refund_order(shop.app, caller, **load_request(messages.RefundOrder(), body))
    return dump_checked(messages.RefundedReply(), reply)


def pieces(order: dict[str, Any], quantity: int, sku: str = "PACK-120") -> list[dict[str, Any]]:
    return [{"line_id": line_of(order, sku), "quantity": quantity}]


def decide(
    shop: Any, refund: dict[str, Any], caller: Any = FINN, key: str = "decide-1", *, approve: bool = True
) -> Any:
    body = {"idempotency_key": key, "id": refund["id"], "approve": approve}
    reply = decide_refund(shop.app, caller, **load_request(messages.DecideRefund(), body))
    return dump_checked(messages.RefundedReply(), reply)


def code_of(call: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(Refusal) as refused:
        call(*arguments, **more)
    return refused.value.code


def state_of(shop: Any, order: dict[str, Any]) -> str:
    return str(get_order(shop.app, shop.buyer, order["id"])["state"])


def test_pieces_are_given_back_and_then_the_rest(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = three_packs(shop)
    first = ask(shop, order, lines=pieces(order, 1))["refund"]
    assert (first["state"], first["amount"], first["left"], first["lines"]) == (
        "done", usd(12000), usd(54000), pieces(order, 1),
    )  # fmt: skip
    assert first["credits"]["taken_back"] == 120
    assert state_of(shop, order) == "partially_refunded"
    second = ask(shop, order, "refund-2", lines=[*pieces(order, 2), *pieces(order, 1, "BOX")])
    assert (second["refund"]["amount"], second["refund"]["left"]) == (usd(54000), usd(0))
    assert state_of(shop, order) == "refunded"
    assert code_of(ask, shop, order, "refund-3") == "order_refunded"
    said = [data for name, data in emitted(shop.database) if name == "cart.order_refunded.v1"]
    assert [(each["amount"], each["left"]) for each in said] == [(usd(12000), usd(54000)), (usd(54000), usd(0))]
    [fact] = order_facts(shop.app, FAY, limit=10, cursor=None)["items"]
    assert [each["amount"] for each in fact["refunds"]] == [usd(12000), usd(54000)]


def test_an_amount_takes_nothing_back_and_the_rest_takes_the_rest(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = three_packs(shop)
    shop.bus.calls.clear()
    shop.bus.money_only = True
    given = ask(shop, order, amount=usd(1000))["refund"]
    assert (given["amount"], given["left"], given["money_only"], given["lines"]) == (usd(1000), usd(65000), True, None)
    assert shop.bus.calls == ["payments.refund"]
    assert given["credits"] == {"taken_back": 0, "claimed": 0, "spent": 0, "expired": 0}
    assert code_of(ask, shop, order, "refund-2", amount=usd(65000)) == "refund_takes_all"
    assert code_of(ask, shop, order, "refund-3", amount=usd(65001)) == "refund_exceeds_payment"
    assert code_of(ask, shop, order, "refund-4", amount={"amount_minor": 1, "currency": "EUR"}) == "currency_differs"
    rest = ask(shop, order, "refund-5")["refund"]
    assert (rest["amount"], rest["left"], state_of(shop, order)) == (usd(65000), usd(0), "refunded")


def test_shares_of_a_line_are_its_total_to_the_minor_unit(shop: Any) -> None:
    order = three_packs(shop)
    with shop.database.reading() as reader:
        stored = storage.read_order(reader, order["id"])
    from cart.domain.refund import share_of

    uneven = replace(stored, lines=(replace(stored.lines[0], total_minor=10000),), total_minor=10000)
    shares, earlier = [], []
    for number in range(3):
        share = share_of(uneven, earlier, pieces(order, 1), None)
        shares.append(share.amount_minor)
        known = Refund(
            id=f"rfd_{number}", order_id=order["id"], state=RefundState.DONE, amount_minor=share.amount_minor,
            currency="USD", reason="", claimed="refuse", requested_by="", scope="", idempotency_key="",
            requested_at=stored.placed_at, attempts=0, next_attempt_at=stored.placed_at, lines=share.lines,
        )  # fmt: skip
        earlier.append(known)
    assert shares == [3333, 3333, 3334]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"lines": [{"line_id": "oln_none", "quantity": 1}]}, "line_not_found"),
        ({"pieces": 4}, "quantity_exceeds_order"),
        ({"lines": [], "amount": None}, "validation_failed"),
        ({"pieces": 1, "amount": {"amount_minor": 1, "currency": "USD"}}, "validation_failed"),
        ({"amount": {"amount_minor": 0, "currency": "USD"}}, "refund_exceeds_payment"),
    ],
    ids=str,
)
def test_what_makes_no_sense_leaves_no_trace(shop: Any, what: dict[str, Any], code: str) -> None:
    order = three_packs(shop)
    if "pieces" in what:
        others = {name: value for name, value in what.items() if name != "pieces"}
        what = {**others, "lines": pieces(order, what["pieces"])}
    assert code_of(ask, shop, order, **what) == code
    assert shop.rows(storage.REFUND) == []


def test_two_clerks_give_back_no_more_than_there_is(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = three_packs(shop)

    def attempt(number: int) -> str:
        try:
            return str(ask(shop, order, f"refund-{number}", lines=pieces(order, 2))["status"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(6) as threads:
        outcomes = sorted(threads.map(attempt, range(6)))
    assert outcomes[0] == "201"
    assert set(outcomes[1:]) <= {"refund_in_progress", "quantity_exceeds_order"}
    assert len(shop.bus.given_back) == 1


# --- the second pair of eyes ---


def a_large_one(shop: Any) -> dict[str, Any]:
    shop.app = replace(shop.app, settings=replace(shop.app.settings, refund_approval_above_minor=20000))
    return three_packs(shop)


def test_a_large_refund_waits_for_another_person(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = a_large_one(shop)
    asked = ask(shop, order)
    refund = asked["refund"]
    assert (asked["status"], refund["state"], shop.bus.taken_back, shop.bus.given_back) == (
        202, "awaiting_approval", {}, {},
    )  # fmt: skip
    assert ask(shop, order) == {**asked, "replayed": True}
    assert code_of(ask, shop, order, "refund-2") == "refund_in_progress"
    assert code_of(decide, shop, refund, FAY) == "second_person_required"
    assert code_of(decide, shop, refund, identity("support")) == "forbidden"
    done = decide(shop, refund)
    assert (done["status"], done["refund"]["state"], done["refund"]["approved_by"]) == (201, "done", "usr_finn")
    assert decide(shop, refund) == {**done, "replayed": True}
    assert code_of(decide, shop, refund, key="decide-2") == "refund_not_awaiting_approval"
    assert state_of(shop, order) == "refunded"
    assert find_refund(shop.app, FAY, refund["id"]) == done["refund"]


def test_one_that_is_rejected_changes_nothing_and_another_may_be_asked_for(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = a_large_one(shop)
    refund = ask(shop, order)["refund"]
    rejected = decide(shop, refund, approve=False)["refund"]
    assert (rejected["state"], rejected["failure_code"], state_of(shop, order)) == ("rejected", "rejected", "fulfilled")
    assert shop.bus.taken_back == {}
    assert ask(shop, order, "refund-2", lines=pieces(order, 1))["refund"]["state"] == "done"
    states = [
        each["state"] for each in list_refunds(shop.app, FAY, state=None, order_id=None, limit=5, cursor=None)["items"]
    ]
    assert states == ["done", "rejected"]


def test_small_ones_add_up(shop: Any) -> None:
    order = a_large_one(shop)
    assert ask(shop, order, lines=pieces(order, 1))["refund"]["state"] == "done"
    assert ask(shop, order, "refund-2", lines=pieces(order, 1))["refund"]["state"] == "awaiting_approval"


def test_the_database_knows_that_nobody_approves_alone(shop_on_postgres: Any) -> None:
    shop = shop_on_postgres
    refund = ask(shop, a_large_one(shop))["refund"]
    with pytest.raises(Exception, match="refund_second_person"), shop.database.transaction() as transaction:
        transaction.execute(sa.update(storage.REFUND).values(approved_by=refund["requested_by"]))


# --- what came by wire or check ---


def test_what_came_by_wire_is_given_back_once_staff_have_sent_it(shop_on_both: Any) -> None:
    shop = shop_on_both
    order = shop.wire()["order"]
    data = {"order_id": order["id"], "intent_id": "pay_1", "amount": order["totals"]["total"], "method": "wire"}
    paid = make_event("payments.captured.v1", messages.PaymentCaptured().load({**data, "card": None}))
    settle_orders_by_event(shop.app, [paid], "captured")
    handed_over(shop, order)
    shop.bus.refunds = "awaiting_payout"
    asked = ask(shop, order)
    assert (asked["status"], asked["refund"]["state"]) == (202, "awaiting_payout")
    assert asked["refund"]["credits"]["taken_back"] == 120
    assert ask(shop, order) == {**asked, "replayed": True}
    assert state_of(shop, order) == "fulfilled"
    event = make_event("payments.refunded.v1", {"refund_id": asked["refund"]["id"], "failure_code": None})
    end_refund_by_event(shop.app, event, (SUCCEEDED, None))
    assert (state_of(shop, order), find_refund(shop.app, FAY, asked["refund"]["id"])["state"]) == ("refunded", "done")
