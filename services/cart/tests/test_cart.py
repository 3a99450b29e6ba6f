"""The cart through its use cases, on a real database."""

from __future__ import annotations

from typing import Any

import pytest

from cart import messages, storage
from cart.use_cases.apply_deployment import apply_deployment
from cart.use_cases.remove_line import remove_line
from cart.use_cases.update_line import update_line
from chassis.messages import dump_checked, load_request
from chassis.testing import identity
from kernel.errors import Kind, Refusal


def change(shop: Any, line_id: str, caller: Any = None, **changes: Any) -> Any:
    request = load_request(messages.UpdateLine(), {"line_id": line_id, **changes})
    return update_line(shop.app, caller or shop.buyer, **request)


def test_a_cart_from_first_look_to_last_line(shop_on_both: Any) -> None:
    shop = shop_on_both
    empty = shop.cart()
    assert (empty["version"], empty["line_count"], empty["terms_version"]) == (0, 0, "2026-11")
    shop.add("PACK-120", 2)
    cart = shop.add("LICENCE", 1)
    assert cart["id"] == empty["id"]
    assert cart["version"] == 2
    assert [line["missing"] for line in cart["lines"]] == [["credit_destination"], ["deployment"]]
    assert cart["totals"]["total"] == {"amount_minor": 33900, "currency": "USD"}
    assert dump_checked(messages.CartReply(), cart) == cart == shop.cart()
    pack, licence = (line["id"] for line in cart["lines"])
    cart = change(shop, pack, credit_destination="organization", quantity=3)
    assert [line["missing"] for line in cart["lines"]] == [[], ["deployment"]]
    reply = apply_deployment(shop.app, shop.buyer, deployment_id="dep_one", if_match=None)
    assert dump_checked(messages.AppliedReply(), reply) == reply
    assert (reply["applied"], reply["skipped"]) == ([licence], [{"line_id": pack, "reason": "deployment_not_needed"}])
    remove_line(shop.app, shop.buyer, line_id=pack, if_match=None)
    cart = remove_line(shop.app, shop.buyer, line_id=licence, if_match=4 + 1)
    assert (cart["lines"], cart["version"]) == ([], 6)


def test_joining_lines_is_stored(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add("LICENCE", 1, deployment_id="dep_one")
    shop.add("LICENCE", 2, deployment_id="dep_one")
    second = shop.add("LICENCE", 1, deployment_id="dep_two")["lines"][1]["id"]
    assert [line["quantity"] for line in shop.cart()["lines"]] == [3, 1]
    change(shop, second, deployment_id="dep_one")
    assert [(line["id"], line["quantity"]) for line in shop.cart()["lines"]] == [(second, 4)]


def test_a_stale_version_is_refused_and_a_change_that_changes_nothing_keeps_the_version(shop: Any) -> None:
    line_id = shop.add("BOX")["lines"][0]["id"]
    refusal = shop.refused(shop.add, "BOX", 1, if_match=0)
    assert (refusal.kind, refusal.code, refusal.extra) == (Kind.PRECONDITION_FAILED, "stale_cart", {"version": 1})
    assert change(shop, line_id, quantity=1, if_match=1)["version"] == 1
    assert change(shop, line_id, quantity=2, if_match=1)["version"] == 2


@pytest.mark.parametrize(
    ("request_", "kind", "code"),
    [
        ({"sku": "NOTHING"}, Kind.INVALID, "unknown_sku"),
        ({"sku": "BOX", "quantity": 11}, Kind.INVALID, "quantity_out_of_range"),
        ({"sku": "BOX", "quantity": 0}, Kind.INVALID, "validation_failed"),
        ({"sku": "BOX", "quantity": -1}, Kind.INVALID, "validation_failed"),
        ({"sku": "BOX", "quantity": 10**30}, Kind.INVALID, "validation_failed"),
        ({"sku": "BOX", "quantity": "3"}, Kind.INVALID, "validation_failed"),
        ({"sku": "BOX", "quantity": 1.0}, Kind.INVALID, "validation_failed"),
        ({"sku": "BOX", "quantity": True}, Kind.INVALID, "validation_failed"),
        ({"sku": "BOX", "unit_price": {"amount_minor": 1, "currency": "USD"}}, Kind.INVALID, "validation_failed"),
        ({"sku": "PACK-120", "credit_destination": "somebody"}, Kind.INVALID, "validation_failed"),
        ({"sku": "BOX", "credit_destination": "organization"}, Kind.INVALID, "credit_destination_not_allowed"),
        ({"sku": "BOX", "deployment_id": "dep_one"}, Kind.INVALID, "deployment_not_allowed"),
        ({"sku": "LICENCE", "deployment_id": "dep_of_others"}, Kind.NOT_FOUND, "not_found"),
        ({"sku": "LICENCE", "deployment_id": "dep_old"}, Kind.INVALID, "deployment_retired"),
    ],
)
def test_bad_input_writes_nothing(shop: Any, request_: dict[str, Any], kind: Kind, code: str) -> None:
    refusal = shop.refused(shop.add, **request_)
    assert (refusal.kind, refusal.code) == (kind, code)
    assert shop.rows(storage.CART_LINE) == []
    assert shop.rows(storage.CART) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": 11}, "quantity_out_of_range"),
        ({"quantity": None}, "validation_failed"),
        ({"deployment_id": "dep_of_others"}, "not_found"),
        ({"deployment_id": "dep_one"}, "deployment_not_allowed"),
        ({"colour": "red"}, "validation_failed"),
    ],
)
def test_a_bad_change_changes_nothing(shop: Any, changes: dict[str, Any], code: str) -> None:
    cart = shop.add_pack()
    assert shop.refused(change, shop, cart["lines"][0]["id"], **changes).code == code
    assert shop.cart() == cart


def test_a_line_of_somebody_else_is_as_unknown_as_none(shop: Any) -> None:
    line_id = shop.add("BOX")["lines"][0]["id"]
    strangers = [
        identity(user_id="usr_bob"),
        identity(organization_id="org_other"),
    ]
    for stranger in strangers:
        refusals = [
            shop.refused(change, shop, line_id, stranger, quantity=2),
            shop.refused(remove_line, shop.app, stranger, line_id=line_id, if_match=None),
            shop.refused(change, shop, "cln_none", stranger, quantity=2),
        ]
        assert {str(refusal) for refusal in refusals} == {str(refusals[0])}
        assert refusals[0].kind is Kind.NOT_FOUND
        assert shop.cart(stranger)["lines"] == []
    assert shop.cart()["lines"][0]["quantity"] == 1


def test_roles(shop: Any) -> None:
    viewer, ticket = identity("viewer", user_id="usr_vera"), identity("ticket", user_id="usr_tom")
    assert shop.cart(viewer)["lines"] == []
    assert shop.add("BOX", caller=identity("admin", user_id="usr_adam"))["line_count"] == 1
    for attempt in (
        lambda: shop.add("BOX", caller=viewer),
        lambda: shop.place(caller=viewer),
        lambda: shop.cart(ticket),
    ):
        assert shop.refused(attempt).kind is Kind.FORBIDDEN


def test_prices_are_asked_and_what_the_buyer_saw_is_kept(shop: Any) -> None:
    shop.add("BOX", 2)
    shop.bus.products["BOX"]["unit_price"] = {"amount_minor": 31000, "currency": "USD"}
    assert shop.rows(storage.CART_LINE)[0]["unit_price_minor"] == 30000
    cart = shop.cart()
    assert cart["lines"][0]["total"]["amount_minor"] == 62000
    assert cart["version"] == 1
    assert shop.rows(storage.CART_LINE)[0]["unit_price_minor"] == 31000


def test_a_product_that_is_no_longer_sold_stays_visible_and_can_be_removed(shop: Any) -> None:
    shop.add("BOX")
    del shop.bus.products["BOX"]
    line = shop.cart()["lines"][0]
    assert (line["available"], line["name"]) == (False, "The BOX")
    assert remove_line(shop.app, shop.buyer, line_id=line["id"], if_match=None)["lines"] == []


def test_accounts_is_asked_only_about_deployments(shop: Any) -> None:
    shop.add("BOX")
    assert shop.bus.calls == ["catalog.price_lines"]


def test_catalog_away_is_unavailable(shop: Any) -> None:
    def away(_method: str) -> None:
        raise Refusal(Kind.UNAVAILABLE, "unavailable", "away")

    shop.bus.before = away
    assert shop.refused(shop.add, "BOX").kind is Kind.UNAVAILABLE
