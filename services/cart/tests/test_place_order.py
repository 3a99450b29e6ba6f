"""Process Order: what is answered, what is written, what is replayed."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from cart import messages, storage
from cart.use_cases.get_order import get_order
from cart.use_cases.list_orders import list_orders
from cart.use_cases.resume_orders import resume_orders
from chassis.messages import dump_checked
from chassis.persistence.tables import IDEMPOTENCY_KEY
from chassis.testing import identity, round_trips
from kernel.errors import Kind


def orders_of(shop: Any, caller: Any = None, **filters: Any) -> Any:
    request = messages.ListOrders().load(filters)
    return list_orders(shop.app, caller or shop.buyer, **request)


def test_a_captured_card(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack(2)
    shop.add("CONTRACT", deployment_id="dep_one", credit_destination="organization")
    reply = shop.place(purchase_order={"number": " PO-77 "}, expected_total={"amount_minor": 74000, "currency": "USD"})
    assert dump_checked(messages.PlacedReply(), reply) == reply
    order = reply["order"]
    assert (reply["status"], reply["replayed"]) == (201, False)
    assert (order["state"], order["number"], order["kind"]) == ("paid", "PC-2026-000001", "order")
    assert order["payment"] == {"method": "card", "state": "captured", "card": {"brand": "visa", "last4": "4242"}}
    assert order["purchase_order"] == {"number": "PO-77"}
    assert [line["fulfilment"] for line in order["lines"]] == ["pending", "pending"]
    assert shop.bus.requests == [
        {
            "order_id": order["id"], "order_number": "PC-2026-000001", "amount": order["totals"]["total"],
            "method": "card", "provider_token": "tok_success",
            "payer": {"organization_id": "org_acme", "user_id": "usr_ada", "email": "ada@acme.example"},
        }
    ]  # fmt: skip
    (event,) = shop.paid_events()
    assert event["order_id"] == order["id"]
    assert event["buyer"] == {
        "user_id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "language": "en",
    }  # fmt: skip
    assert [(line["id"], line["credit_destination"], line["deployment_id"]) for line in event["lines"]] == [
        (order["lines"][0]["id"], "support_card", None), (order["lines"][1]["id"], "organization", "dep_one"),
    ]  # fmt: skip
    cart = shop.cart()
    assert (cart["lines"], cart["version"]) == ([], 3)
    (row,) = shop.rows(storage.ORDERS)
    assert row["terms_version"] == "2026-11"
    assert (row["terms_accepted_at"], row["user_id"], row["client_address"]) == (
        shop.clock.now(), "usr_ada", "192.0.2.7",
    )  # fmt: skip
    assert row["provider_token"] is None
    assert get_order(shop.app, shop.buyer, order["id"]) == order


def test_the_same_request_again_replays_the_answer(shop: Any) -> None:
    shop.add_pack()
    first = shop.place()
    shop.add_pack()
    again = shop.place()
    assert again == {**first, "replayed": True}
    assert len(shop.bus.charges) == len(shop.paid_events()) == 1
    assert shop.cart()["line_count"] == 1


def test_the_same_key_with_another_request_is_refused(shop: Any) -> None:
    shop.add_pack()
    shop.place()
    colleague = identity(user_id="usr_bob")
    for refusal in (
        shop.refused(shop.place, purchase_order={"number": "other"}),
        shop.refused(shop.place, caller=colleague),
        shop.refused(shop.place, payment={"method": "wire"}),
    ):
        assert (refusal.kind, refusal.code) == (Kind.INVALID, "idempotency_key_reused")


def test_a_key_belongs_to_an_organisation(shop: Any) -> None:
    other = identity(user_id="usr_cy", organization_id="org_other")
    shop.add_pack()
    shop.add_pack(caller=other)
    assert shop.place()["order"]["id"] != shop.place(caller=other)["order"]["id"]


def test_a_decline_cancels_the_order_keeps_the_cart_and_is_replayed(shop_on_both: Any) -> None:
    shop = shop_on_both
    cart = shop.add_pack()
    shop.bus.payments = "failed"
    first = shop.refused(shop.place)
    assert (first.kind, first.code, first.detail) == (Kind.PAYMENT_REFUSED, "card_declined", "Use another card.")
    (order,) = orders_of(shop)["items"]
    assert (order["state"], order["cancel_reason"]) == ("cancelled", "insufficient_funds")
    assert order["payment"]["state"] == "failed"
    assert first.extra == {"reason": "insufficient_funds", "order_id": order["id"]}
    assert shop.cart() == cart
    shop.bus.payments = "captured"
    again = shop.refused(shop.place)
    assert again.as_dict() == {**first.as_dict(), "extra": {**first.extra, "replayed": True}}
    assert shop.bus.charges == {}
    assert shop.paid_events() == []
    assert shop.place("key-2")["status"] == 201


def test_a_request_that_payments_refuses_is_a_decline(shop: Any) -> None:
    shop.add_pack()
    shop.bus.payments = "invalid"
    refusal = shop.refused(shop.place)
    assert (refusal.kind, refusal.code) == (Kind.PAYMENT_REFUSED, "card_declined")
    assert refusal.extra["reason"] == "unknown_provider_token"


def test_hardware_alone_is_fulfilled_at_payment(shop: Any) -> None:
    shop.add("BOX")
    order = shop.place()["order"]
    assert (order["state"], order["lines"][0]["fulfilment"]) == ("fulfilled", "fulfilled")
    assert len(shop.paid_events()) == 1


@pytest.mark.parametrize("payments", ["processing", "down", "lost"])
def test_no_answer_yet_is_202_and_a_retry_finds_it_in_flight(shop: Any, payments: str) -> None:
    shop.add_pack()
    shop.bus.payments = payments
    reply = shop.place()
    assert dump_checked(messages.PlacedReply(), reply) == reply
    assert (reply["status"], reply["order"]["state"]) == (202, "pending_payment")
    assert reply["order"]["payment"] == {"method": "card", "state": "processing", "card": None}
    refusal = shop.refused(shop.place)
    assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "idempotency_key_in_flight")
    assert shop.cart()["line_count"] == 1
    assert shop.paid_events() == []


def test_a_retry_after_the_lease_resumes_the_order(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = "lost"
    first = shop.place()
    shop.bus.payments = "processing"
    shop.clock.advance(seconds=11)
    reply = shop.place()
    assert (reply["status"], reply["order"]["id"], reply["replayed"]) == (201, first["order"]["id"], True)
    assert list(shop.bus.charges.values()) == [12000]
    assert len(shop.paid_events()) == 1


def test_a_retry_after_the_lease_may_still_not_know(shop: Any) -> None:
    shop.add_pack()
    shop.bus.payments = "processing"
    shop.place()
    shop.clock.advance(seconds=11)
    reply = shop.place()
    assert dump_checked(messages.PlacedReply(), reply) == reply
    assert (reply["status"], len(reply["order"]["lines"])) == (202, 1)


def test_one_cart_is_not_paid_for_twice_while_a_payment_is_under_way(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add_pack()
    shop.bus.payments = "processing"
    shop.place("key-1")
    before = shop.written()
    refusal = shop.refused(shop.place, "key-2")
    assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "order_in_progress")
    assert shop.written() == before


BAD = [
    ({"payment": {"method": "wire", "provider_token": "tok"}}, "provider_token_unexpected"),
    ({"payment": {"method": "check", "payment_method_id": "pm_1"}}, "payment_method_unexpected"),
    ({"payment": {"method": "quote", "provider_token": "tok"}}, "provider_token_unexpected"),
    ({"payment": {"method": "barter"}}, "validation_failed"),
    ({"payment": {"method": "card"}}, "provider_token_required"),
    ({"payment": {"method": "card", "payment_method_id": "pm_1"}}, "not_found"),
    ({"payment": {"method": "card", "provider_token": "4242 4242 4242 4242"}}, "validation_failed"),
    ({"payment": {"method": "card", "provider_token": "tok", "amount": 1}}, "validation_failed"),
    ({"billing_address_id": "adr_1"}, "billing_address_not_found"),
    ({"purchase_order": {"number": "  "}}, "validation_failed"),
    ({"purchase_order": {"number": "4242424242424242"}}, "validation_failed"),
    ({"purchase_order": {"number": "a\r\nb"}}, "validation_failed"),
    ({"accept_terms": None}, "terms_not_accepted"),
    ({"accept_terms": "2019-01"}, "terms_not_accepted"),
    ({"accept_terms": True}, "validation_failed"),
    ({"expected_total": {"amount_minor": 11999, "currency": "USD"}}, "price_changed"),
    ({"expected_total": {"amount_minor": 12000, "currency": "EUR"}}, "currency_differs"),
    ({"expected_total": {"amount_minor": 12000.0, "currency": "USD"}}, "validation_failed"),
    ({"idempotency_key": ""}, "validation_failed"),
    ({"idempotency_key": "a\nb"}, "validation_failed"),
    ({"idempotency_key": "x" * 256}, "validation_failed"),
    ({"total": 1}, "validation_failed"),
]


@pytest.mark.parametrize(("changes", "code"), BAD)
def test_bad_input_leaves_no_rows_and_the_key_free(shop: Any, changes: dict[str, Any], code: str) -> None:
    shop.add_pack()
    assert shop.refused(shop.place, **changes).code == code
    assert shop.written() == 0
    assert shop.bus.charges == {}
    assert shop.place()["status"] == 201


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"sku": "PACK-120"}, "credit_destination_required"),
        ({"sku": "LICENCE"}, "deployment_required"),
        ({"sku": "CONTRACT", "deployment_id": "dep_one"}, "credit_destination_required"),
    ],
)
def test_an_incomplete_line_leaves_no_rows(shop: Any, line: dict[str, Any], code: str) -> None:
    shop.add("BOX")
    shop.add(**line)
    refusal = shop.refused(shop.place)
    assert (refusal.kind, refusal.code) == (Kind.INVALID, code)
    assert refusal.errors[0]["field"].startswith("lines.1.")
    assert shop.written() == 0


def test_an_empty_cart_leaves_no_rows(shop: Any) -> None:
    for _ in range(2):
        assert shop.refused(shop.place).code == "cart_empty"
        shop.cart()
    assert shop.written() == 0


def test_what_changed_since_is_refused(shop: Any) -> None:
    shop.add("LICENCE", deployment_id="dep_one")
    shop.bus.deployments["dep_one"] = "retired"
    assert shop.refused(shop.place).code == "deployment_retired"
    del shop.bus.deployments["dep_one"]
    assert shop.refused(shop.place).code == "deployment_not_found"
    shop.bus.deployments["dep_one"] = "active"
    licence = shop.bus.products.pop("LICENCE")
    assert shop.refused(shop.place).code == "product_unavailable"
    shop.bus.products["LICENCE"] = {**licence, "unit_price": {"amount_minor": 9901, "currency": "USD"}}
    refusal = shop.refused(shop.place)
    assert (refusal.code, refusal.extra["old"]["amount_minor"], refusal.extra["new"]["amount_minor"]) == (
        "price_changed", 9900, 9901,
    )  # fmt: skip
    assert shop.written() == 0
    shop.cart()  # the buyer looks again
    assert shop.place()["order"]["totals"]["total"]["amount_minor"] == 9901


def test_a_fall_is_granted(shop: Any) -> None:
    shop.add("BOX")
    shop.bus.products["BOX"]["unit_price"] = {"amount_minor": 1, "currency": "USD"}
    assert shop.place()["order"]["totals"]["total"]["amount_minor"] == 1


def test_a_cart_that_changes_while_it_is_checked_is_refused(shop: Any) -> None:
    shop.add("BOX")

    def meddle(method: str) -> None:
        shop.bus.before = lambda _method: None
        shop.add("BOX")

    shop.bus.before = meddle
    refusal = shop.refused(shop.place)
    assert (refusal.kind, refusal.code) == (Kind.CONFLICT, "cart_changed")
    assert shop.written() == 0


def test_only_what_was_ordered_leaves_the_cart(shop_on_both: Any) -> None:
    shop = shop_on_both
    shop.add("BOX", 2)
    shop.add_pack()

    def meddle(method: str) -> None:
        if method == "collect":
            shop.bus.before = lambda _method: None
            shop.add("BOX", 1)
            shop.add("LICENCE")

    shop.bus.before = meddle
    shop.place()
    assert [(line["sku"], line["quantity"]) for line in shop.cart()["lines"]] == [("BOX", 1), ("LICENCE", 1)]


def test_orders_are_the_organisations_own(shop: Any) -> None:
    for key in ("a", "b", "c"):
        shop.add("BOX" if key == "a" else "PACK-120", credit_destination=None if key == "a" else "organization")
        shop.place(key, purchase_order={"number": f"PO-{key}"} if key != "c" else None)
    viewer = identity("viewer", user_id="usr_vera")
    whole = orders_of(shop, viewer)
    assert dump_checked(messages.OrderList(), whole) == whole
    assert [order["number"][-1] for order in whole["items"]] == ["3", "2", "1"]
    first = orders_of(shop, limit=2)
    assert [order["number"][-1] for order in orders_of(shop, limit=2, cursor=first["next"])["items"]] == ["1"]
    assert [order["number"][-1] for order in orders_of(shop, state="fulfilled")["items"]] == ["1"]
    assert [order["number"][-1] for order in orders_of(shop, purchase_order="PO-b")["items"]] == ["2"]
    assert orders_of(shop, kind="quote")["items"] == []
    stranger = identity(organization_id="org_other")
    assert orders_of(shop, stranger)["items"] == []
    order_id = whole["items"][0]["id"]
    refusals = [shop.refused(get_order, shop.app, stranger, id_) for id_ in (order_id, "ord_none")]
    assert refusals[0].as_dict() == refusals[1].as_dict()
    assert refusals[0].kind is Kind.NOT_FOUND
    assert shop.refused(get_order, shop.app, identity("ticket"), order_id).kind is Kind.FORBIDDEN


def test_what_a_checkout_costs(shop_on_both: Any) -> None:
    """Each statement and each call is CPU of every checkout: more of them must be a decision, not an accident."""
    shop = shop_on_both
    shop.add_pack()
    shop.add("LICENCE", deployment_id="dep_one")
    shop.bus.calls.clear()
    with round_trips(shop.database) as seen:
        shop.place()
    assert shop.bus.calls == ["catalog.price_lines", "accounts.check_deployments", "payments.collect"]
    # PostgreSQL: key, cart and declines; number, order; order again, outcome. SQLite waits for each statement.
    assert len(seen) == (5 if shop.database.url.get_backend_name() == "postgresql" else 14), seen
    with round_trips(shop.database) as seen:
        shop.place()
    assert len(seen) == 1, seen
    with round_trips(shop.database) as seen:
        resume_orders(shop.app)
    assert len(seen) == (2 if shop.database.url.get_backend_name() == "postgresql" else 1), seen


def test_the_answer_is_kept_with_the_effect(shop: Any) -> None:
    shop.add_pack()
    shop.place()
    (key,) = shop.rows(IDEMPOTENCY_KEY)
    assert (key["scope"], key["key"], key["subject_id"]) == ("org_acme", "key-1", shop.rows(storage.ORDERS)[0]["id"])
    assert key["answer"] is not None


def test_a_key_that_was_forgotten_after_its_30_days_is_new_again(shop: Any) -> None:
    shop.add_pack()
    shop.place()
    with shop.database.transaction() as transaction:
        transaction.execute(sa.delete(IDEMPOTENCY_KEY))
    shop.add_pack()
    assert shop.place()["order"]["number"] == "PC-2026-000002"
