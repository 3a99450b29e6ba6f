"""What the services say they take and give is what the gateway sends and documents."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from gateway_fakes import REPLIES, Check, FakeRpc, Send

from chassis.testing import rpc_contract
from gateway.services import SERVICES

BEARER = {"number": "SCC-7K2M-Q9TX-04HB", "code": "4T9KQ2"}
KEY = {"Idempotency-Key": "k1"}
ADDRESS = {
    "name": "Alan Abel", "company": "Acme", "address": "1 Main Street", "address_2": "Suite 2", "city": "Albany",
    "state": "NY", "zip": "12207", "country": "US", "default_billing": True, "default_shipping": False,
}  # fmt: skip
PAGE = "limit=5&cursor=c"
INVOICES = (
    "kind=invoice&state=paid&number=INV-000001&order_id=ord_1&purchase_order_number=PO-77&from=2026-11-01"
    f"&to=2026-11-30&{PAGE}"
)
#: Each method that the gateway calls, and a request with every optional field that makes it do so.
REQUESTS: dict[str, tuple[str, str, Any]] = {
    "accounts.authenticate": ("GET", "/v1/credits", None),
    "accounts.sign_in": ("POST", "/v1/sessions", {"email": "a@b.example", "password": "x"}),
    "accounts.update_organization": (
        "PATCH", "/v1/organization", {"name": "Acme", "time_zone": "Europe/Berlin", "language": "de"}
    ),
    "accounts.list_users": ("GET", f"/v1/organization/users?{PAGE}", None),
    "accounts.update_user": (
        "PATCH", "/v1/organization/users/usr_1", {"name": "Ada", "role": "viewer", "active": True}
    ),
    "accounts.invite_user": (
        "POST", "/v1/organization/users", {"email": "ivy@acme.example", "name": "Ivy", "role": "viewer"}
    ),
    "accounts.list_invitations": ("GET", f"/v1/organization/invitations?{PAGE}", None),
    "accounts.withdraw_invitation": ("DELETE", "/v1/organization/invitations/lnk_1", None),
    "accounts.accept_invitation": ("POST", "/v1/invitations/t", {"password": "x"}),
    "accounts.sign_up": (
        "POST", "/v1/users",
        {"email": "a@b.example", "password": "x", "name": "A", "organization_name": "B", "language": "de"},
    ),
    "accounts.confirm_sign_up": ("POST", "/v1/users/confirm", {"token": "t"}),
    "accounts.request_password_reset": ("POST", "/v1/password-resets", {"email": "a@b.example"}),
    "accounts.reset_password": ("POST", "/v1/password-resets/t", {"password": "x"}),
    "accounts.change_password": (
        "POST", "/v1/account/password", {"old_password": "old pass phrase", "new_password": "new pass phrase"}
    ),
    "accounts.sign_out": ("DELETE", "/v1/sessions/current", None),
    "accounts.get_organization": ("GET", "/v1/organization", None),
    "accounts.set_tax_certificate": (
        "PUT", "/v1/admin/organizations/org_acme/tax-certificate", {"certificate": "NY-1187"}
    ),
    "accounts.list_addresses": ("GET", f"/v1/organization/addresses?{PAGE}", None),
    "accounts.create_address": ("POST", "/v1/organization/addresses", ADDRESS),
    "accounts.get_address": ("GET", "/v1/organization/addresses/adr_1", None),
    "accounts.update_address": ("PATCH", "/v1/organization/addresses/adr_1", ADDRESS),
    "accounts.delete_address": ("DELETE", "/v1/organization/addresses/adr_1", None),
    "accounts.create_api_key": ("POST", "/v1/organization/api-keys", {"name": "Nightly", "scopes": ["read", "buy"]}),
    "accounts.list_api_keys": ("GET", f"/v1/organization/api-keys?{PAGE}", None),
    "accounts.revoke_api_key": ("DELETE", "/v1/organization/api-keys/key_1", None),
    "accounts.search_deployments": ("GET", f"/v1/deployments?q=b&{PAGE}", None),
    "accounts.get_deployment": ("GET", "/v1/deployments/14181336", None),
    "accounts.retire_deployment": ("POST", "/v1/deployments/14181336/retire", {}),
    "accounts.add_deployment": (
        "POST", "/v1/admin/organizations/org_acme/deployments", {"id": "14181336", "name": "Berlin"}
    ),
    "accounts.manage_organization": ("PUT", "/v1/admin/organizations/org_acme/managed/org_other", None),
    "accounts.end_management": ("DELETE", "/v1/admin/organizations/org_acme/managed/org_other", None),
    "accounts.list_managed": ("GET", f"/v1/organization/managed?{PAGE}", None),
    "accounts.search_organizations": ("GET", f"/v1/admin/organizations?q=b&{PAGE}", None),
    "catalog.list_categories": ("GET", "/v1/categories", None),
    "catalog.list_products": ("GET", f"/v1/products?category=hourly&{PAGE}", None),
    "catalog.get_product": ("GET", "/v1/products/CREDITS-120", None),
    "catalog.get_terms": ("GET", "/v1/terms", None),
    "cart.get_cart": ("GET", "/v1/cart", None),
    "cart.add_line": (
        "POST", "/v1/cart/lines",
        {"sku": "A", "quantity": 1, "deployment_id": "1", "credit_destination": "organization", "currency": "USD"},
    ),
    "cart.update_line": (
        "PATCH", "/v1/cart/lines/lin_1", {"quantity": 1, "deployment_id": "1", "credit_destination": "organization"}
    ),
    "cart.remove_line": ("DELETE", "/v1/cart/lines/lin_1", None),
    "cart.apply_deployment": ("POST", "/v1/cart/deployment", {"deployment_id": "1"}),
    "cart.place_order": (
        "POST", "/v1/orders",
        {
            "payment": {"method": "card", "payment_method_id": "pm_1", "provider_token": "tok_1"},
            "billing_address_id": "adr_1", "purchase_order": {"number": "PO-77"}, "accept_terms": "2026-11",
            "expected_total": {"amount_minor": 1, "currency": "USD"},
        },
    ),
    "cart.cancel_order": ("POST", "/v1/orders/ord_1/cancel", {}),
    "payments.list_payment_methods": ("GET", "/v1/payment-methods", None),
    "payments.save_payment_method": ("POST", "/v1/payment-methods", {"provider_token": "tok_1", "save": True}),
    "payments.set_default_payment_method": ("PATCH", "/v1/payment-methods/pm_1", {"default": True}),
    "payments.remove_payment_method": ("DELETE", "/v1/payment-methods/pm_1", None),
    "payments.receive_webhook": ("POST", "/v1/webhooks/payments", {"id": "evt_1"}),
    "cart.change_payment": (
        "POST", "/v1/orders/ord_1/payment", {"payment": {"method": "card", "provider_token": "t", "save": True}},
    ),
    "cart.convert_quote": ("POST", "/v1/orders/ord_1/convert", {"payment": {"method": "card", "provider_token": "t"}}),
    "payments.get_invoice": ("GET", "/v1/orders/ord_1/invoice", None),
    "payments.get_issuer": ("GET", "/v1/orders/ord_q/quote", None),
    "payments.list_invoices": ("GET", f"/v1/invoices?{INVOICES}", None),
    "payments.search_invoices": (
        "GET", f"/v1/admin/invoices?issuer=store&organization_id=org_acme&{INVOICES}", None
    ),
    "cart.list_orders": ("GET", f"/v1/orders?state=paid&kind=order&purchase_order=PO-77&{PAGE}", None),
    "cart.get_order": ("GET", "/v1/orders/ord_1", None),
    "credits.cards_of_orders": ("GET", "/v1/orders/ord_1", None),
    "credits.get_balance": ("GET", "/v1/credits", None),
    "credits.list_entries": ("GET", f"/v1/credits/entries?from=2026-11-01&to=2026-11-30&{PAGE}", None),
    "payments.get_intent": ("GET", "/v1/credits/entries/ltx_1/trace", None),
    "credits.get_alert": ("GET", "/v1/credits/alert", None),
    "credits.set_alert": ("PATCH", "/v1/credits/alert", {"threshold": 60}),
    "credits.list_reconciliations": ("GET", f"/v1/admin/reconciliation?{PAGE}", None),
    "credits.trace_entry": ("GET", "/v1/admin/credits/entries/ltx_1/trace", None),
    "credits.list_cards": ("GET", f"/v1/support-cards?role=issuer&state=issued&{PAGE}", None),
    "credits.get_card": ("GET", "/v1/support-cards/scc_1", None),
    "credits.preview_card": ("POST", "/v1/support-cards/preview", BEARER),
    "credits.claim_card": ("POST", "/v1/support-cards/claim", BEARER),
    "payments.record_receipt": (
        "POST", "/v1/admin/payments/receipts",
        {
            "reference": "RF84PC2026000123", "method": "wire", "amount": {"amount_minor": 7000, "currency": "USD"},
            "received_on": "2026-11-30", "bank_reference": "B-1",
        },
    ),
    "payments.list_review": (
        "GET", f"/v1/admin/payments/review?reason=overpaid&order_id=ord_1&settled=false&{PAGE}", None,
    ),
    "credits.recall_card": ("POST", "/v1/support-cards/scc_1/recall", {}),
    "credits.freeze_card": ("POST", "/v1/support-cards/scc_1/freeze", {}),
    "credits.unfreeze_card": ("POST", "/v1/support-cards/scc_1/unfreeze", {}),
    "credits.reissue_card": ("POST", "/v1/support-cards/scc_1/reissue", {}),
    "credits.bind_card": ("POST", "/v1/support-cards/scc_1/bind", {"mail_domain": "bolt.example"}),
    "credits.split_card": ("POST", "/v1/support-cards/scc_1/split", {"credits": [100, 20]}),
    "credits.spend": (
        "POST", "/v1/admin/credits/spends",
        {"organization_id": "org_acme", "credits": 30, "cause": "ticket-7/1", "memo": "Ticket 7"},
    ),
    "credits.grant_credits": (
        "POST", "/v1/admin/credits/grants",
        {"organization_id": "org_acme", "credits": 60, "reason": "Sorry", "expires_at": "2027-01-31T00:00:00Z"},
    ),
    "credits.adjust_credits": (
        "POST", "/v1/admin/credits/adjustments", {"organization_id": "org_acme", "credits": -15, "reason": "Twice"}
    ),
    "cart.refund_order": (
        "POST", "/v1/admin/orders/ord_1/refund",
        {"reason": "Bought twice", "claimed": "refund_anyway", "lines": [{"line_id": "oln_1", "quantity": 1}]},
    ),
    "cart.find_refund": ("GET", "/v1/admin/refunds/rfd_1", None),
    "cart.list_refunds": ("GET", f"/v1/admin/refunds?state=done&order_id=ord_1&{PAGE}", None),
    "cart.decide_refund": ("POST", "/v1/admin/refunds/rfd_1/approve", {"reason": "Agreed"}),
    "payments.record_payout": (
        "POST", "/v1/admin/payments/payouts",
        {"refund_id": "rfd_1", "bank_reference": "OUT-1", "paid_on": "2026-12-01"},
    ),
    "payments.list_payouts": ("GET", f"/v1/admin/payments/payouts?state=waiting&{PAGE}", None),
    "payments.list_disputes": ("GET", f"/v1/admin/disputes?state=open&order_id=ord_1&{PAGE}", None),
    "payments.get_dispute": ("GET", "/v1/admin/disputes/dsp_1", None),
    "payments.send_evidence": ("POST", "/v1/admin/disputes/dsp_1/evidence", {"evidence": "They claimed the card."}),
    "payments.accept_dispute": ("POST", "/v1/admin/disputes/dsp_1/accept", None),
    "payments.settle_surplus": ("POST", "/v1/admin/payments/surplus/srp_1/settle", {"order_id": "ord_2"}),
    "support.preflight": ("GET", "/v1/tickets/preflight?deployment_id=14181336&cap_credits=60", None),
    "support.open_ticket": (
        "POST", "/v1/tickets",
        {"deployment_id": "14181336", "subject": "Calls", "description": "They\ndrop", "cap_credits": 60},
    ),
    "support.get_ticket": ("GET", "/v1/tickets/tkt_1", None),
    "support.get_any_ticket": ("GET", "/v1/admin/tickets/tkt_1", None),
    "support.list_tickets": ("GET", f"/v1/tickets?state=open&deployment_id=1&{PAGE}", None),
    "support.list_queue": ("GET", f"/v1/admin/tickets?state=open&deployment_id=1&organization_id=o&{PAGE}", None),
    "support.list_comments": ("GET", f"/v1/tickets/tkt_1/comments?{PAGE}", None),
    "support.add_comment": ("POST", "/v1/tickets/tkt_1/comments", {"text": "Hello", "internal": True}),
    "support.add_time": (
        "POST", "/v1/tickets/tkt_1/time", {"minutes": 5, "worked_on": "2026-11-24", "note": "Looked"}
    ),
    "support.answer_overrun": ("POST", "/v1/tickets/tkt_1/overrun", {"approve": True, "expected_credits": 30}),
    "support.close_ticket": ("POST", "/v1/tickets/tkt_1/close", None),
    "support.reopen_ticket": ("POST", "/v1/tickets/tkt_1/reopen", {"cap_credits": 60}),
    "support.give_back_defect": ("POST", "/v1/tickets/tkt_1/defect", {"reason": "Ours"}),
    "cart.get_refund": ("GET", "/v1/admin/orders/ord_1/refund", None),
    "cart.search_orders": (
        "GET",
        "/v1/admin/orders?number=n&buyer_email=e&organization_id=o&purchase_order_number=p&state=paid&kind=order"
        "&last4=4242&limit=5&cursor=c",
        None,
    ),
    "payments.find_orders": (
        "GET", "/v1/admin/orders?last4=4242&provider_id=ch_1&reference=r&bank_reference=b", None
    ),
    **{f"{service}.order_timeline": ("GET", "/v1/orders/ord_1/timeline", None) for service in SERVICES},
    **{
        f"{service}.list_audit": (
            "GET",
            "/v1/admin/audit?subject_id=s&organization_id=o&actor_id=u&action=a.b&limit=5&cursor=aud_1",
            None,
        )
        for service in SERVICES
    },
    "cart.list_dead_letters": ("GET", "/v1/admin/dead-letters?service=cart&cause=x&limit=5&cursor=cart.c", None),
    "cart.replay_dead_letters": ("POST", "/v1/admin/dead-letters/replay", {"service": "cart", "cause": "x"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def contracts() -> dict[str, Any]:
    """By service and method, what the service itself says; the gateway's own code knows none of it."""
    return {name: rpc_contract(*name.split(".")) for name in REQUESTS}


def test_every_call_is_here() -> None:
    assert set(REQUESTS) == {name for name in REPLIES if not name.startswith("health.")}


@pytest.mark.parametrize("name", REQUESTS)
def test_call_fits_what_the_service_takes_and_its_answer_what_is_documented(
    name: str, contracts: dict[str, Any], send: Send, rpc: FakeRpc, documented: Check
) -> None:
    if name != "accounts.authenticate":  # its times are in the past by now
        rpc.replies[name] = contracts[name]["example"]["reply"]
    method, path, body = REQUESTS[name]
    answer = send(method, path, json=body, headers={**KEY, "If-Match": '"3"'})
    assert answer.status_code < 300
    jsonschema.validate(rpc.last(name).data, contracts[name]["request"])
    if answer.data:
        documented(method, path, answer)


def test_who_needs_no_identity_is_agreed(contracts: dict[str, Any], send: Send, rpc: FakeRpc) -> None:
    for name, (method, path, body) in REQUESTS.items():
        if name != "accounts.sign_out":
            send(method, path, json=body, headers=KEY)
        if not contracts[name]["anonymous"] and name != "accounts.sign_out":
            assert rpc.last(name).identity_token, name
