"""Every route: what it asks of whom, and what it answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from gateway_fakes import (
    ACCOUNTS,
    ADDRESS,
    API_KEY,
    APPLIED,
    CANCELLED,
    CARD,
    CART,
    CREDITS,
    DEPLOYMENT,
    ENTRY,
    FACTS,
    INVITATION,
    ORDER,
    ORDER_CARD,
    ORGANIZATION,
    PREVIEW,
    PRODUCT,
    REPLIES,
    TOKEN,
    USER_RECORD,
    Check,
    FakeRpc,
    Send,
    page_of,
)

from gateway.app import create_app
from gateway.identities import IdentityCache
from gateway.settings import Settings
from kernel.errors import Kind, Refusal

KEY = {"Idempotency-Key": "8f14e45f-ea5d-4c3a-9c56-2f7d7b0f6a10"}
WISH = {
    "payment": {"method": "card", "payment_method_id": None, "provider_token": "tok_success"},
    "purchase_order": {"number": "PO-77"}, "accept_terms": "2026-11",
    "expected_total": {"amount_minor": 12000, "currency": "USD"},
}  # fmt: skip
BEARER = {"number": "SCC-7K2M-Q9TX-04HB", "code": "4T9KQ2-7K2MQ9-TX04HB-ABCDEF"}
ORDER_SHOWN = {**ORDER, "support_cards": [ORDER_CARD]}
PAGE = {"limit": 20}


@dataclass(frozen=True)
class Case:
    """A request, the calls it makes, and its answer."""

    method: str
    path: str
    calls: dict[str, dict[str, Any]]
    status: int
    answer: Any
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


CASES = [
    Case("GET", "/v1/organization", {"accounts.get_organization": {}}, 200, REPLIES["accounts.get_organization"]),
    Case("GET", "/v1/organization/addresses", {"accounts.list_addresses": PAGE}, 200, page_of(ADDRESS)),
    Case("POST", "/v1/organization/addresses",
         {"accounts.create_address": {"name": "A", "address": "1 Main St", "country": "US", "state": None}}, 201,
         ADDRESS, {"name": "A", "address": "1 Main St", "country": "US", "state": None}),
    Case("GET", "/v1/organization/addresses/adr_1", {"accounts.get_address": {"id": "adr_1"}}, 200, ADDRESS),
    Case("PATCH", "/v1/organization/addresses/adr_1", {"accounts.update_address": {"id": "adr_1", "company": None}},
         200, ADDRESS, {"company": None}),
    Case("DELETE", "/v1/organization/addresses/adr_1", {"accounts.delete_address": {"id": "adr_1"}}, 204, None),
    Case("PUT", "/v1/admin/organizations/org_acme/tax-certificate",
         {"accounts.set_tax_certificate": {"organization_id": "org_acme", "certificate": None}}, 200, FACTS,
         {"certificate": None}),
    Case("GET", "/v1/organization/api-keys", {"accounts.list_api_keys": PAGE}, 200, page_of(API_KEY)),
    Case("DELETE", "/v1/organization/api-keys/key_1", {"accounts.revoke_api_key": {"id": "key_1"}}, 204, None),
    Case("GET", "/v1/deployments?q=ber&limit=5", {"accounts.search_deployments": {"q": "ber", "limit": 5}}, 200,
         page_of(DEPLOYMENT)),
    Case("GET", "/v1/deployments/14181336", {"accounts.get_deployment": {"id": "14181336"}}, 200,
         {**DEPLOYMENT, "entitlements": []}),
    Case("POST", "/v1/deployments/14181336/retire", {"accounts.retire_deployment": {"id": "14181336"}}, 200,
         {**DEPLOYMENT, "state": "retired"}),
    Case("PATCH", "/v1/organization", {"accounts.update_organization": {"time_zone": "Europe/Berlin"}}, 200, FACTS,
         {"time_zone": "Europe/Berlin"}),
    Case("GET", "/v1/organization/users", {"accounts.list_users": PAGE}, 200, page_of(USER_RECORD)),
    Case("POST", "/v1/organization/users",
         {"accounts.invite_user": {"email": "i@acme.example", "name": "Ivy", "role": "viewer"}}, 202, INVITATION,
         {"email": "i@acme.example", "name": "Ivy", "role": "viewer"}),
    Case("PATCH", "/v1/organization/users/usr_1", {"accounts.update_user": {"id": "usr_1", "active": False}}, 200,
         USER_RECORD, {"active": False}),
    Case("GET", "/v1/organization/invitations", {"accounts.list_invitations": PAGE}, 200, page_of(INVITATION)),
    Case("DELETE", "/v1/organization/invitations/lnk_1", {"accounts.withdraw_invitation": {"id": "lnk_1"}}, 204, None),
    Case("GET", "/v1/organization/managed", {"accounts.list_managed": PAGE}, 200, page_of(ORGANIZATION)),
    Case("GET", "/v1/admin/organizations?q=acme", {"accounts.search_organizations": {"q": "acme", "limit": 20}}, 200,
         page_of(FACTS)),
    Case("PUT", "/v1/admin/organizations/org_acme/managed/org_other",
         {"accounts.manage_organization": {"manager_id": "org_acme", "managed_id": "org_other"}}, 200, ORGANIZATION),
    Case("DELETE", "/v1/admin/organizations/org_acme/managed/org_other",
         {"accounts.end_management": {"manager_id": "org_acme", "managed_id": "org_other"}}, 204, None),
    Case("POST", "/v1/admin/organizations/org_acme/deployments",
         {"accounts.add_deployment": {"organization_id": "org_acme", "id": "14181336", "name": "Berlin"}}, 201,
         DEPLOYMENT, {"id": "14181336", "name": "Berlin"}),
    Case("GET", "/v1/categories", {"catalog.list_categories": {}}, 200,
         {**REPLIES["catalog.list_categories"], "next": None}),
    Case("GET", "/v1/products?category=hourly", {"catalog.list_products": {"category": "hourly", "limit": 20}}, 200,
         page_of(PRODUCT)),
    Case("GET", "/v1/products/CREDITS-120", {"catalog.get_product": {"sku": "CREDITS-120"}}, 200, PRODUCT),
    Case("GET", "/v1/terms", {"catalog.get_terms": {}}, 200, REPLIES["catalog.get_terms"]),
    Case("GET", "/v1/cart", {"cart.get_cart": {}}, 200, CART),
    Case("POST", "/v1/cart/lines", {"cart.add_line": {"sku": "CREDITS-120", "quantity": 2}}, 200, CART,
         {"sku": "CREDITS-120", "quantity": 2, "deployment_id": None}),
    Case("PATCH", "/v1/cart/lines/lin_1",
         {"cart.update_line": {"line_id": "lin_1", "credit_destination": "support_card", "deployment_id": None}}, 200,
         CART, {"credit_destination": "support_card", "deployment_id": None}),
    Case("DELETE", "/v1/cart/lines/lin_1", {"cart.remove_line": {"line_id": "lin_1"}}, 200, CART),
    Case("POST", "/v1/cart/deployment", {"cart.apply_deployment": {"deployment_id": "14181336"}}, 200, APPLIED,
         {"deployment_id": "14181336"}),
    Case("POST", "/v1/orders",
         {"cart.place_order": {
             "payment": {"method": "card", "provider_token": "tok_success"}, "purchase_order": {"number": "PO-77"},
             "accept_terms": "2026-11", "expected_total": {"amount_minor": 12000, "currency": "USD"},
             "idempotency_key": KEY["Idempotency-Key"], "client_address": "127.0.0.1"}},
         201, {**ORDER, "support_cards": []}, WISH, KEY),
    Case("GET", "/v1/orders?state=paid&kind=order&purchase_order=PO-77",
         {"cart.list_orders": {"state": "paid", "kind": "order", "purchase_order": "PO-77", "limit": 20},
          "credits.cards_of_orders": {"order_ids": ["ord_1"]}}, 200, page_of(ORDER_SHOWN)),
    Case("GET", "/v1/orders/ord_1",
         {"cart.get_order": {"id": "ord_1"}, "credits.cards_of_orders": {"order_ids": ["ord_1"]}}, 200, ORDER_SHOWN),
    Case("POST", "/v1/orders/ord_1/cancel",
         {"cart.cancel_order": {"id": "ord_1", "idempotency_key": KEY["Idempotency-Key"]}}, 200,
         {**CANCELLED, "support_cards": []}, None, KEY),
    Case("GET", "/v1/credits", {"credits.get_balance": {}}, 200, REPLIES["credits.get_balance"]),
    Case("GET", "/v1/credits/entries", {"credits.list_entries": PAGE}, 200, page_of(ENTRY)),
    Case("GET", "/v1/support-cards?role=claimant", {"credits.list_cards": {"role": "claimant", "limit": 20}}, 200,
         page_of(CARD)),
    Case("GET", "/v1/support-cards/scc_1", {"credits.get_card": {"id": "scc_1"}}, 200, CARD),
    Case("POST", "/v1/support-cards/scc_1/recall",
         {"credits.recall_card": {"card_id": "scc_1", "idempotency_key": KEY["Idempotency-Key"]}}, 200,
         {"card": CARD, "credits": 120, "balance": 240}, None, KEY),
]  # fmt: skip
OPEN = ("/v1/categories", "/v1/products", "/v1/terms")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_route_asks_its_service_and_passes_the_answer_on(
    case: Case, send: Send, rpc: FakeRpc, documented: Check
) -> None:
    answer = send(case.method, case.path, json=case.body, headers=case.headers)
    assert answer.status_code == case.status
    assert {call.method: call.data for call in rpc.calls if call.method != "accounts.authenticate"} == case.calls
    if case.answer is None:
        assert answer.data == b""
    else:
        assert answer.json == case.answer
        documented(case.method, case.path, answer)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_route_needs_credentials_unless_it_is_open(case: Case, client: FlaskClient, rpc: FakeRpc) -> None:
    answer = client.open(case.path, method=case.method, json=case.body, headers=case.headers)
    if case.path.startswith(OPEN):
        assert answer.status_code == case.status
    else:
        assert (answer.status_code, answer.json["code"], rpc.calls) == (401, "unauthenticated", [])
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_sign_in_makes_the_token_and_seals_the_password(client: FlaskClient, rpc: FakeRpc, documented: Check) -> None:
    answer = client.post("/v1/sessions", json={"email": " ada@acme.example ", "password": " a pass phrase "})
    assert answer.status_code == 201
    documented("POST", "/v1/sessions", answer)
    token = answer.json["token"]
    asked = rpc.last("accounts.sign_in").data
    assert token.startswith("pcs_")
    assert len(token) == 47
    assert asked["session_digest"] == hashlib.sha256(token.encode()).hexdigest()
    assert ACCOUNTS.open(asked["sealed_password"]) == " a pass phrase "
    assert (asked["email"], asked["client_address"]) == ("ada@acme.example", "127.0.0.1")
    assert "phrase" not in str(asked)
    assert token not in str(asked)
    assert answer.headers["Cache-Control"] == "no-store"


def test_wrong_password_is_401(client: FlaskClient, rpc: FakeRpc) -> None:
    rpc.replies["accounts.sign_in"] = Refusal(Kind.UNAUTHENTICATED, "invalid_credentials", "No.")
    answer = client.post("/v1/sessions", json={"email": "a@b.example", "password": "x"})
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_credentials")


def test_sign_out_ends_the_session_here_at_once(send: Send, rpc: FakeRpc) -> None:
    assert send("GET", "/v1/cart").status_code == 200
    assert send("DELETE", "/v1/sessions/current").status_code == 204
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    assert rpc.last("accounts.sign_out").data == {"session_digest": digest}
    assert send("GET", "/v1/cart").status_code == 401


def test_an_api_key_has_no_session_to_end_and_stays_good(send: Send, rpc: FakeRpc) -> None:
    key = {"Authorization": "Bearer pck_" + "a" * 43}
    answer = send("DELETE", "/v1/sessions/current", headers=key)
    assert (answer.status_code, answer.json["code"], rpc.names()) == (403, "not_a_session", [])
    assert send("GET", "/v1/cart", headers=key).status_code == 200


def test_sign_out_that_may_have_failed_asks_again(send: Send, rpc: FakeRpc) -> None:
    rpc.replies["accounts.sign_out"] = Refusal(Kind.UNAVAILABLE, "unavailable", "Later.")
    assert send("DELETE", "/v1/sessions/current").status_code == 503
    rpc.replies["accounts.authenticate"] = Refusal(Kind.UNAUTHENTICATED, "unauthenticated", "Gone.")
    assert send("GET", "/v1/cart").status_code == 401


def test_api_key_is_made_here_and_shown_once(send: Send, rpc: FakeRpc, documented: Check) -> None:
    answer = send("POST", "/v1/organization/api-keys", json={"name": "Nightly"})
    assert answer.status_code == 201
    documented("POST", "/v1/organization/api-keys", answer)
    key = answer.json["key"]
    assert key.startswith("pck_")
    assert rpc.last("accounts.create_api_key").data == {
        "name": "Nightly",
        "digest": hashlib.sha256(key.encode()).hexdigest(),
        "last_four": key[-4:],
    }


@pytest.mark.parametrize(("action", "headers"), [("preview", {}), ("claim", KEY)])
def test_claim_code_is_sealed_for_credits(
    action: str, headers: dict[str, str], send: Send, rpc: FakeRpc, documented: Check
) -> None:
    answer = send("POST", f"/v1/support-cards/{action}", json=BEARER, headers=headers)
    assert answer.status_code == 200
    documented("POST", f"/v1/support-cards/{action}", answer)
    asked = dict(rpc.last(f"credits.{action}_card").data)
    assert CREDITS.open(asked.pop("sealed_code")) == BEARER["code"]
    expected = {"number": BEARER["number"], "client_address": "127.0.0.1"}
    if headers:
        expected["idempotency_key"] = KEY["Idempotency-Key"]
    assert asked == expected


def test_preview_says_who_would_get_the_credits(send: Send) -> None:
    assert send("POST", "/v1/support-cards/preview", json=BEARER).json == PREVIEW


class TestIdempotency:
    @pytest.mark.parametrize(
        ("path", "body"),
        [("/v1/orders", WISH), ("/v1/support-cards/claim", BEARER), ("/v1/orders/ord_1/cancel", {})],
    )
    @pytest.mark.parametrize("key", [None, "", "  "])
    def test_key_is_required(self, path: str, body: Any, key: str | None, send: Send, rpc: FakeRpc) -> None:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = send("POST", path, json=body, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_required")
        assert rpc.names() == []

    @pytest.mark.parametrize("key", ["k" * 256, "clé"])
    def test_key_must_be_printable_and_short(self, key: str, send: Send, rpc: FakeRpc) -> None:
        answer = send("POST", "/v1/orders", json=WISH, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_invalid")
        assert rpc.names() == []

    def test_replay_is_marked(self, send: Send, rpc: FakeRpc) -> None:
        assert "Idempotent-Replayed" not in send("POST", "/v1/orders", json=WISH, headers=KEY).headers
        rpc.replies["cart.place_order"] = {"order": ORDER, "replayed": True, "status": 201}
        rpc.replies["credits.claim_card"] = {**REPLIES["credits.claim_card"], "replayed": True}
        order = send("POST", "/v1/orders", json=WISH, headers=KEY)
        claim = send("POST", "/v1/support-cards/claim", json=BEARER, headers=KEY)
        rpc.replies["cart.cancel_order"] = {"order": CANCELLED, "replayed": True, "status": 200}
        cancel = send("POST", "/v1/orders/ord_1/cancel", headers=KEY)
        for answer in (order, claim, cancel):
            assert answer.headers["Idempotent-Replayed"] == "true"
            assert "replayed" not in answer.json

    @pytest.mark.parametrize(("kind", "code", "status"), [
        (Kind.CONFLICT, "idempotency_key_in_flight", 409), (Kind.INVALID, "idempotency_key_reused", 422),
    ])  # fmt: skip
    @pytest.mark.parametrize(("path", "body", "method"), [
        ("/v1/orders", WISH, "cart.place_order"), ("/v1/support-cards/claim", BEARER, "credits.claim_card"),
        ("/v1/orders/ord_1/cancel", {}, "cart.cancel_order"),
    ])  # fmt: skip
    def test_in_flight_is_409_and_another_body_422(
        self, kind: Kind, code: str, status: int, path: str, body: Any, method: str, send: Send, rpc: FakeRpc
    ) -> None:
        rpc.replies[method] = Refusal(kind, code, "No.")
        answer = send("POST", path, json=body, headers=KEY)
        assert (answer.status_code, answer.json["code"]) == (status, code)

    def test_replayed_decline_is_marked_and_says_no_more(self, send: Send, rpc: FakeRpc) -> None:
        rpc.replies["cart.place_order"] = Refusal(
            Kind.PAYMENT_REFUSED, "card_declined", "The bank said no.", extra={"replayed": True, "reason": "funds"}
        )
        answer = send("POST", "/v1/orders", json=WISH, headers=KEY)
        assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (402, "true")
        assert answer.json["reason"] == "funds"
        assert "replayed" not in answer.json


class TestOrders:
    def test_placed_order_says_where_it_is(self, send: Send, rpc: FakeRpc) -> None:
        answer = send("POST", "/v1/orders", json=WISH, headers=KEY)
        assert answer.headers["Location"] == "/v1/orders/ord_1"
        assert rpc.last("cart.place_order").timeout_s > rpc.last("accounts.authenticate").timeout_s

    def test_unsettled_payment_is_202(self, send: Send, rpc: FakeRpc, documented: Check) -> None:
        pending = {**ORDER, "state": "pending_payment"}
        rpc.replies["cart.place_order"] = {"order": pending, "replayed": False, "status": 202}
        answer = send("POST", "/v1/orders", json=WISH, headers=KEY)
        assert (answer.status_code, answer.headers["Location"]) == (202, "/v1/orders/ord_1")
        assert answer.headers["Retry-After"] == "1"
        documented("POST", "/v1/orders", answer)

    def test_unsettled_cancellation_is_202(self, send: Send, rpc: FakeRpc, documented: Check) -> None:
        pending = {**ORDER, "state": "pending_payment", "paid_at": None}
        rpc.replies["cart.cancel_order"] = {"order": pending, "replayed": False, "status": 202}
        answer = send("POST", "/v1/orders/ord_1/cancel", headers=KEY)
        assert (answer.status_code, answer.headers["Location"]) == (202, "/v1/orders/ord_1")
        assert answer.headers["Retry-After"] == "1"
        documented("POST", "/v1/orders/ord_1/cancel", answer)

    def test_cancelling_takes_no_fields(self, send: Send, rpc: FakeRpc) -> None:
        answer = send("POST", "/v1/orders/ord_1/cancel", json={"state": "cancelled"}, headers=KEY)
        assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
        assert rpc.names() == []

    def test_order_is_shown_though_its_cards_cannot_be(self, send: Send, rpc: FakeRpc, documented: Check) -> None:
        rpc.replies["credits.cards_of_orders"] = Refusal(Kind.UNAVAILABLE, "unavailable", "Later.")
        answer = send("GET", "/v1/orders/ord_1")
        assert (answer.status_code, answer.json["support_cards"]) == (200, None)
        documented("GET", "/v1/orders/ord_1", answer)

    def test_other_trouble_with_the_cards_is_not_hidden(self, send: Send, rpc: FakeRpc) -> None:
        rpc.replies["credits.cards_of_orders"] = Refusal(Kind.FORBIDDEN, "forbidden", "No.")
        assert send("GET", "/v1/orders/ord_1").status_code == 403

    def test_order_without_cards_costs_no_second_call(self, send: Send, rpc: FakeRpc) -> None:
        line = {**ORDER["lines"][0], "credit_destination": "organization"}
        rpc.replies["cart.get_order"] = {**ORDER, "lines": [line]}
        assert send("GET", "/v1/orders/ord_1").json["support_cards"] == []
        assert rpc.names() == ["cart.get_order"]

    def test_address_of_the_client_is_not_what_it_says(self, send: Send, rpc: FakeRpc) -> None:
        send("POST", "/v1/orders", json=WISH, headers={**KEY, "X-Forwarded-For": "203.0.113.9"})
        assert rpc.last("cart.place_order").data["client_address"] == "127.0.0.1"


class TestCartVersions:
    def test_every_answer_has_the_etag(self, send: Send) -> None:
        for case in CASES:
            if case.path.startswith("/v1/cart"):
                assert send(case.method, case.path, json=case.body).headers["ETag"] == '"3"'

    @pytest.mark.parametrize("case", [c for c in CASES if c.path.startswith("/v1/cart/")], ids=str)
    def test_if_match_goes_along(self, case: Case, send: Send, rpc: FakeRpc) -> None:
        send(case.method, case.path, json=case.body, headers={"If-Match": '"3"'})
        assert rpc.calls[-1].data["if_match"] == 3
        send(case.method, case.path, json=case.body, headers={"If-Match": "*"})
        assert "if_match" not in rpc.calls[-1].data

    @pytest.mark.parametrize("tag", ['W/"3"', '"x"', "3", '"3", "4"', '"-1"'])
    def test_what_is_no_etag_of_ours_is_stale(self, tag: str, send: Send, rpc: FakeRpc) -> None:
        answer = send("DELETE", "/v1/cart/lines/lin_1", headers={"If-Match": tag})
        assert (answer.status_code, answer.json["code"], rpc.names()) == (412, "stale_cart", [])

    def test_stale_version_is_412(self, send: Send, rpc: FakeRpc) -> None:
        rpc.replies["cart.add_line"] = Refusal(Kind.PRECONDITION_FAILED, "stale_cart", "Read again.")
        answer = send("POST", "/v1/cart/lines", json={"sku": "A", "quantity": 1}, headers={"If-Match": '"2"'})
        assert (answer.status_code, answer.json["code"]) == (412, "stale_cart")

    def test_unchanged_cart_is_304(self, send: Send) -> None:
        answer = send("GET", "/v1/cart", headers={"If-None-Match": '"3"'})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", '"3"')
        assert send("GET", "/v1/cart", headers={"If-None-Match": '"2"'}).json == CART
        assert send("GET", "/v1/cart", headers={"If-Match": '"2"'}).json == CART


class TestLists:
    def test_next_page_is_linked_with_the_same_question(self, send: Send, rpc: FakeRpc) -> None:
        rpc.replies["accounts.search_deployments"] = page_of(DEPLOYMENT, "abc=&d")
        answer = send("GET", "/v1/deployments?q=b%20c&limit=2")
        link = answer.headers["Link"]
        assert link == '</v1/deployments?limit=2&q=b+c&cursor=abc%3D%26d>; rel="next"'
        send("GET", link[1 : link.index(">")])
        assert rpc.calls[-1].data == {"q": "b c", "limit": 2, "cursor": "abc=&d"}

    def test_last_page_has_no_link(self, send: Send) -> None:
        assert "Link" not in send("GET", "/v1/deployments").headers


def test_proxy_is_believed_if_told_so(rpc: FakeRpc, identities: IdentityCache) -> None:
    settings = Settings(ACCOUNTS.public_key, CREDITS.public_key, trusted_proxies=1)
    client = create_app(settings, rpc, identities).test_client()
    headers = {**KEY, "Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
    client.post("/v1/orders", json=WISH, headers=headers)
    assert rpc.last("cart.place_order").data["client_address"] == "203.0.113.9"
