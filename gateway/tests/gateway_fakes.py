"""The services as the gateway sees them, without any."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import Schema
from werkzeug.test import TestResponse

from chassis import context
from chassis.sealing import Opener, new_key
from chassis.testing import rpc_contract
from gateway.identities import digest_of
from gateway.services import SERVICES
from kernel.errors import Kind, Refusal

#: The fixture `send`.
Send = Callable[..., TestResponse]
#: The fixture `documented`: method, path, answer.
Check = Callable[[str, str, TestResponse], None]

ACCOUNTS = Opener(new_key())
CREDITS = Opener(new_key())

USER = {"id": "usr_ada", "email": "ada@acme.example", "name": "Ada Buyer", "role": "buyer", "language": "en"}
ORGANIZATION = {"id": "org_acme", "name": "Acme", "number": "1003"}
FACTS = {
    **ORGANIZATION, "time_zone": "UTC", "language": "en", "tax_exempt": False, "tax_certificate": None,
}  # fmt: skip
ADDRESS = {
    "id": "adr_1", "name": "Alan Abel", "company": None, "address": "1 Main Street", "address_2": None,
    "city": "Albany", "state": "NY", "zip": "12207", "country": "US", "default_billing": True,
    "default_shipping": True,
}  # fmt: skip
USER_RECORD = {**USER, "active": True, "created_at": "2026-11-22T12:00:00.000Z"}
INVITATION = {
    "id": "lnk_1", "email": "ivy@acme.example", "name": "Ivy", "role": "viewer",
    "invited_at": "2026-11-22T12:00:00.000Z",
}  # fmt: skip
TOKEN = "pcs_" + "a" * 43
#: Somebody of the staff's; `send` uses it for their routes.
STAFF = {**USER, "id": "usr_fay", "email": "fay@punchcard.example", "role": "finance"}
STAFF_TOKEN = "pcs_" + "f" * 43


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


TOTALS = {"subtotal": usd(12000), "tax": usd(0), "total": usd(12000)}
LINE = {
    "id": "lin_1", "sku": "CREDITS-120", "name": "120 credits", "kind": "credit_pack", "quantity": 1,
    "unit_price": usd(12000), "total": usd(12000), "credits": 120, "deployment_id": None,
    "credit_destination": "support_card",
}  # fmt: skip
CART = {
    "id": "crt_1", "version": 3, "currency": "USD",
    "lines": [{**LINE, "needs_deployment": False, "available": True, "missing": []}],
    "totals": TOTALS, "line_count": 1, "terms_version": "2026-11",
}  # fmt: skip
APPLIED = {**CART, "applied": ["lin_1"], "skipped": [{"line_id": "lin_2", "reason": "deployment_not_needed"}]}
ORDER = {
    "id": "ord_1", "kind": "order", "number": "PC-1", "state": "paid", "lines": [{**LINE, "fulfilment": "pending"}],
    "totals": TOTALS, "payment": {"method": "card", "state": "captured", "card": {"brand": "visa", "last4": "4242"}},
    "instructions": None, "purchase_order": {"number": "PO-77"}, "terms_version": "2026-11",
    "placed_at": "2026-11-22T12:00:00.000Z", "expires_at": None, "paid_at": "2026-11-22T12:00:01.000Z",
    "fulfilled_at": None, "cancel_reason": None, "next_action": None,
}  # fmt: skip
QUOTE = {
    **ORDER, "id": "ord_q", "kind": "quote", "number": "PQ-1", "state": "open", "paid_at": None,
    "expires_at": "2026-12-23T00:00:00.000Z",
    "payment": {"method": "quote", "state": "not_due", "card": None},
    "quote": {"last_day": "2026-12-22", "time_zone": "UTC", "order_id": None}, "quote_id": None,
}  # fmt: skip
ISSUER = {"name": "Punchcard", "address": "1 Store Street\nLondon", "tax_number": "GB 1"}
_DOCUMENT = {
    "issued_at": "2026-11-22T12:00:01.000Z", "issuer": ISSUER, "order": {"id": "ord_1", "number": "PC-1"},
    "organization": {"id": "org_acme", "name": "Acme"}, "buyer": {"name": "Ada", "email": "ada@acme.example"},
    "billing_address": {
        "name": "Ada Buyer", "company": None, "address": "1 Main Street", "address_2": "Floor 2", "city": "Albany",
        "state": "NY", "zip": "12207", "country": "US",
    },
    "tax": {"name": "Sales tax", "rate_percent": "8.875", "certificate": None}, "purchase_order_number": "PO-77",
    "totals": {"subtotal": usd(12000), "tax": usd(1065), "total": usd(13065)},
}  # fmt: skip
CREDIT_NOTE = {
    **_DOCUMENT, "number": "CN-000001", "invoice_number": "INV-000007",
    "totals": {"subtotal": usd(100), "tax": usd(9), "total": usd(109)},
}  # fmt: skip
INVOICE = {
    **_DOCUMENT, "number": "INV-000007", "state": "paid", "paid_at": "2026-11-22T12:00:00.000Z", "voided_at": None,
    "lines": [
        {"sku": "HOURLY-120", "name": "120 credits", "quantity": 1, "unit_price": usd(12000), "total": usd(12000),
         "tax": usd(1065), "deployment_id": None},
    ],
    "terms_version": "2026-11", "credit_notes": [CREDIT_NOTE], "supplied_on": None,
    "payment": {"method": "card", "card": {"brand": "visa", "last4": "4242"}, "reference": None, "due_on": None},
}  # fmt: skip
INVOICE_IN_SHORT = {
    **{name: INVOICE[name] for name in (
        "number", "state", "issued_at", "paid_at", "voided_at", "order", "organization", "purchase_order_number",
        "totals",
    )},
    "id": "inv_1", "kind": "invoice", "issuer": "store", "invoice_number": None,
}  # fmt: skip
CANCELLED = {
    **ORDER, "state": "cancelled", "payment": {"method": "card", "state": "failed", "card": None}, "paid_at": None,
    "cancel_reason": "cancelled_on_request",
}  # fmt: skip
ORDER_CARD = {"id": "scc_1", "number_masked": "SCC-****-****-04HB", "state": "issued"}
CARD = {
    **ORDER_CARD, "credits": 120, "issued_at": "2026-11-22T12:00:02.000Z", "claimed_at": None, "expires_at": None,
    "order_id": "ord_1", "claimant": None, "issuer": {"id": "org_acme", "name": "Acme"},
}  # fmt: skip
DEPLOYMENT = {
    "id": "14181336", "name": "Berlin HQ", "registered_on": "2017-06-15", "owner": {"id": "org_acme", "name": "Acme"},
    "state": "active", "similar_to": [],
}  # fmt: skip
PRODUCT = {
    "sku": "CREDITS-120", "name": "120 credits", "description": "Two hours", "category": "hourly",
    "kind": "credit_pack", "credits": 120, "needs_deployment": False, "needs_contract": True, "max_quantity": 10,
    "term_months": None, "credits_valid_days": 365,
    "price": usd(12000), "prices": [usd(12000)], "active": True,
}  # fmt: skip
API_KEY = {
    "id": "key_1",
    "name": "Nightly",
    "last_four": "x7Qk",
    "created_at": "2026-11-22T12:00:00.000Z",
    "scopes": ["read"],
}
ENTRY = {
    "id": "ent_1", "kind": "claim", "amount": 120, "balance_after": 120, "memo": "Card claimed",
    "occurred_at": "2026-11-22T12:00:00.000Z", "order_id": None, "card_id": "scc_1",
}  # fmt: skip
DEAD_LETTER = {
    "id": "dlt_1", "queue": "cart.on.credits.order_credited.v1", "event_id": "evt_1", "cause": "RuntimeError",
    "attempts": 9, "parked_at": "2026-11-22T12:00:00.000Z", "age_s": 60, "replayed_at": None,
    "headers": {"correlation_id": "cor_1", "x-death": "…"},
}  # fmt: skip
AWAITING = {
    **ORDER, "state": "awaiting_payment", "paid_at": None, "expires_at": "2026-12-22T12:00:00.000Z",
    "payment": {"method": "wire", "state": "requires_action", "card": None},
    "instructions": {
        "method": "wire", "reference": "RF84PC2026000123", "amount": usd(12000), "received": usd(0),
        "remaining": usd(12000), "due_on": "2026-12-06", "pay_to": {"account": "DE89"},
    },
}  # fmt: skip
RECEIPT = {
    "id": "rct_1", "order_id": "ord_1", "order_number": "PC-1", "method": "wire", "bank_reference": "B-1",
    "amount": usd(7000), "received_on": "2026-11-30", "recorded_by": "usr_fay",
    "recorded_at": "2026-11-30T09:30:00.000Z",
}  # fmt: skip
RECORDED = {
    "receipt": RECEIPT,
    "payment": {
        "state": "requires_action", "due": usd(12000), "received": usd(7000), "remaining": usd(5000),
        "surplus": usd(0), "reason": None,
    },
}  # fmt: skip
SURPLUS = {
    "id": "srp_1", "reason": "order_cancelled", "amount": usd(7000), "noted_at": "2026-12-22T12:00:00.000Z",
    "organization_id": "org_acme", "settlement": None, "receipt": RECEIPT, "charge": None,
}  # fmt: skip
PREVIEW = {
    "number_masked": "SCC-****-****-04HB", "credits": 120, "expires_at": None,
    "organization": {"id": "org_acme", "name": "Acme"},
}  # fmt: skip


METHOD = {
    "id": "pm_1", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030, "expired": False,
    "default": True, "created_at": "2026-11-22T12:00:00.000Z",
}  # fmt: skip


def in_minutes(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def authenticated(**changes: Any) -> dict[str, Any]:
    """The reply of accounts.authenticate."""
    return {
        "identity": "signed-by-accounts", "believed_until": in_minutes(5), "expires_at": in_minutes(600),
        "user": USER, "organization": ORGANIZATION, **changes,
    }  # fmt: skip


def page_of(item: Any, following: str | None = None) -> dict[str, Any]:
    return {"items": [item], "next": following}


REFUND = {
    "id": "rfd_1", "order_id": "ord_1", "state": "done", "amount": usd(12000), "reason": "Twice", "claimed": "refuse",
    "credits": {"taken_back": 120, "claimed": 0, "spent": 0, "expired": 0}, "requested_by": "usr_fay",
    "requested_at": "2026-11-24T12:00:00.000Z", "ended_at": "2026-11-24T12:00:01.000Z", "failure_code": None,
    "lines": None, "money_only": False, "left": usd(0), "approved_by": None,
}  # fmt: skip
PAYOUT = {
    "id": "rfd_1", "kind": "refund", "order_id": "ord_1", "order_number": "PC-1", "organization_id": "org_acme",
    "amount": usd(12000), "reason": "Twice", "state": "paid", "bank_reference": "OUT-1", "paid_on": "2026-12-01",
    "recorded_by": "usr_fay", "recorded_at": "2026-12-01T09:30:00.000Z",
}  # fmt: skip
DISPUTE = {
    "id": "dsp_1", "order_id": "ord_1", "order_number": "PC-1", "organization_id": "org_acme", "amount": usd(12000),
    "reason": "not_recognized", "state": "open", "opened_at": "2026-11-25T12:00:00.000Z",
    "evidence_due_at": "2026-12-09T12:00:00.000Z", "evidence": None, "evidence_sent_at": None, "accepted_at": None,
    "closed_at": None, "provider_dispute_id": "dp_1", "provider_charge_id": "ch_1",
}  # fmt: skip
AUDIT_ENTRY = {
    "id": "aud_1", "happened_at": "2026-11-22T12:00:00.000Z", "action": "card.frozen", "subject_id": "scc_1",
    "organization_id": "org_acme", "actor_id": "usr_ada", "actor_email": "ada@acme.example", "actor_role": "admin",
    "details": {"credits": 5}, "correlation_id": "cor_1",
}  # fmt: skip
ORDER_IN_SHORT = {
    "id": "ord_1", "number": "PC-1", "kind": "order", "state": "paid", "organization": {"id": "org_a", "name": "Acme"},
    "buyer": {"email": "ada@acme.example", "name": "=Ada"}, "total": usd(12000), "payment_method": "card",
    "card_last4": "4242", "purchase_order_number": None, "placed_at": "2026-11-22T12:00:00.000Z", "paid_at": None,
    "problem": None,
}  # fmt: skip
STEP = {"happened_at": "2026-11-22T12:00:00.000Z", "what": "order.placed", "details": {"number": "PC-1"}, "by": None}
SPENT = {"id": "ltx_1", "organization_id": "org_acme", "credits": 30, "balance": 90}
INTENT = {
    "intent_id": "pay_1", "order_id": "ord_1", "method": "card", "state": "captured", "decline": None,
    "card": {"brand": "visa", "last4": "4242"}, "instructions": None, "next_action": None,
}  # fmt: skip
RECONCILED = {
    "id": "rec_1", "began_at": "2026-11-24T12:00:00.000Z", "ended_at": "2026-11-24T12:01:00.000Z",
    "looked_at": {"orders": 12}, "breaks_count": 1,
    "breaks": [{"rule": "paid_line_is_bound", "subject": "ord_1 lin_1", "expected": 1, "found": 0}],
}  # fmt: skip
TRACE = {
    "organization_id": "org_acme",
    "entry": {**ENTRY, "id": "ltx_2", "kind": "spend", "amount": -30, "expires_at": None},
    "sources": [
        {
            "entry_id": "ltx_1", "kind": "claim", "credits": -30, "memo": "Card claimed",
            "occurred_at": "2026-11-22T12:00:00.000Z", "expires_at": None, "free": False,
            "card": {
                "id": "scc_1", "number_masked": "SCC-****-****-04HB", "state": "claimed", "credits": 120,
                "issued_at": "2026-11-22T12:00:00.000Z", "claimed_at": "2026-11-23T12:00:00.000Z",
                "issuer": {"id": "org_acme", "name": "Acme"}, "split_from": [],
            },
            "order": {"order_id": "ord_1", "line_id": "lin_1"},
        }
    ],
    "uses": [],
}  # fmt: skip
GRANTED = {**SPENT, "expires_at": "2027-01-31T00:00:00.000Z"}

_TICKETS = (
    "preflight", "open_ticket", "get_ticket", "get_any_ticket", "list_tickets", "list_queue", "list_comments",
    "add_comment", "add_time", "answer_overrun", "close_ticket", "reopen_ticket", "give_back_defect",
)  # fmt: skip
TICKET = rpc_contract("support", "get_ticket")["example"]["reply"]

REPLIES: dict[str, Any] = {
    "accounts.authenticate": lambda data: authenticated(
        user=STAFF if data["credential_digest"] == digest_of(STAFF_TOKEN) else USER
    ),
    "accounts.sign_in": {"expires_at": "2026-11-23T00:00:00.000Z", "user": USER, "organization": ORGANIZATION},
    "accounts.sign_out": {},
    "accounts.sign_up": {},
    "accounts.update_organization": FACTS,
    "accounts.list_users": page_of(USER_RECORD),
    "accounts.update_user": USER_RECORD,
    "accounts.invite_user": INVITATION,
    "accounts.list_invitations": page_of(INVITATION),
    "accounts.withdraw_invitation": {},
    "accounts.accept_invitation": {},
    "accounts.confirm_sign_up": {},
    "accounts.request_password_reset": {},
    "accounts.reset_password": {},
    "accounts.change_password": {},
    "accounts.get_organization": {**FACTS, "users_count": 3},
    "accounts.set_tax_certificate": FACTS,
    "accounts.list_addresses": page_of(ADDRESS),
    "accounts.create_address": ADDRESS,
    "accounts.get_address": ADDRESS,
    "accounts.update_address": ADDRESS,
    "accounts.delete_address": {},
    "accounts.create_api_key": API_KEY,
    "accounts.list_api_keys": page_of(API_KEY),
    "accounts.revoke_api_key": {},
    "accounts.search_deployments": page_of(DEPLOYMENT),
    "accounts.get_deployment": {**DEPLOYMENT, "entitlements": []},
    "accounts.retire_deployment": {**DEPLOYMENT, "state": "retired"},
    "accounts.add_deployment": DEPLOYMENT,
    "accounts.manage_organization": ORGANIZATION,
    "accounts.end_management": ORGANIZATION,
    "accounts.list_managed": page_of(ORGANIZATION),
    "accounts.search_organizations": page_of(FACTS),
    "catalog.list_categories": {"items": [{"slug": "hourly", "name": "Hourly", "parent": None, "default": True}]},
    "catalog.list_products": page_of(PRODUCT),
    "catalog.get_product": PRODUCT,
    "catalog.get_terms": {"version": "2026-11", "text": "Be kind.", "published_at": "2026-11-01T00:00:00.000Z"},
    "cart.get_cart": CART,
    "cart.add_line": CART,
    "cart.update_line": CART,
    "cart.remove_line": CART,
    "cart.apply_deployment": APPLIED,
    "cart.place_order": {"order": ORDER, "replayed": False, "status": 201},
    "cart.cancel_order": {"order": CANCELLED, "replayed": False, "status": 200},
    "payments.get_invoice": INVOICE,
    "payments.get_issuer": ISSUER,
    "payments.list_invoices": page_of(INVOICE_IN_SHORT),
    "payments.search_invoices": page_of(INVOICE_IN_SHORT),
    "cart.convert_quote": {"order": ORDER, "replayed": False, "status": 201},
    "cart.change_payment": {"order": AWAITING, "replayed": False, "status": 201},
    "cart.list_orders": page_of(ORDER),
    "cart.get_order": lambda data: QUOTE if data["id"] == QUOTE["id"] else ORDER,
    "credits.cards_of_orders": {"items": [{"order_id": "ord_1", "cards": [ORDER_CARD]}]},
    "credits.get_balance": {
        "balance": 120,
        "unit": "credit",
        "minutes_per_credit": 1,
        "expiries": [{"expires_at": None, "credits": 120}],
    },
    "credits.list_entries": page_of(ENTRY),
    "credits.list_cards": page_of(CARD),
    "credits.get_alert": {"threshold": 60, "email": "ada@acme.example"},
    "credits.set_alert": {"threshold": 60, "email": "ada@acme.example"},
    "credits.list_reconciliations": page_of(RECONCILED),
    "credits.trace_entry": lambda _: copy.deepcopy(TRACE),
    "credits.get_card": CARD,
    "credits.preview_card": PREVIEW,
    "credits.claim_card": {"card": CARD, "credits": 120, "balance": 240, "replayed": False},
    "payments.list_payment_methods": page_of(METHOD),
    "payments.save_payment_method": {"payment_method": METHOD, "replayed": False},
    "payments.set_default_payment_method": METHOD,
    "payments.remove_payment_method": {},
    "payments.receive_webhook": {},
    "payments.get_intent": INTENT,
    "payments.record_receipt": {**RECORDED, "replayed": False},
    "payments.list_review": page_of(SURPLUS),
    "credits.recall_card": {"card": CARD, "credits": 120, "balance": 240, "replayed": False},
    **{f"credits.{name}_card": {"card": CARD, "replayed": False} for name in ("freeze", "unfreeze", "reissue", "bind")},
    "credits.split_card": {"card": {**CARD, "state": "split"}, "cards": [CARD, CARD], "replayed": False},
    "credits.spend": {**SPENT, "replayed": False},
    "credits.grant_credits": {**GRANTED, "replayed": False},
    "credits.adjust_credits": {**SPENT, "replayed": False},
    "cart.refund_order": {"refund": REFUND, "replayed": False, "status": 201},
    "cart.get_refund": REFUND,
    "cart.find_refund": REFUND,
    "cart.list_refunds": page_of(REFUND),
    "cart.decide_refund": {"refund": REFUND, "replayed": False, "status": 201},
    "payments.record_payout": {"payout": PAYOUT, "replayed": False},
    "payments.list_payouts": page_of(PAYOUT),
    "payments.list_disputes": page_of(DISPUTE),
    "payments.get_dispute": DISPUTE,
    "payments.send_evidence": {"dispute": DISPUTE, "replayed": False},
    "payments.accept_dispute": {"dispute": DISPUTE, "replayed": False},
    "payments.settle_surplus": {
        "surplus_id": "srp_1",
        "settlement": "returned",
        "order_id": None,
        "payment": None,
        "replayed": False,
    },
    "cart.list_dead_letters": page_of(DEAD_LETTER),
    "cart.replay_dead_letters": {"replayed": 1, "remaining": 0},
    "cart.search_orders": page_of(ORDER_IN_SHORT),
    "payments.find_orders": {"order_ids": ["ord_1"]},
    **{f"{name}.order_timeline": {"items": [STEP]} for name in SERVICES},
    **{f"{name}.list_audit": {"items": [AUDIT_ENTRY], "more": False} for name in SERVICES},
    **{f"support.{name}": rpc_contract("support", name)["example"]["reply"] for name in _TICKETS},
    **{f"health.{name}": {} for name in SERVICES},
}


@dataclass(frozen=True)
class Called:
    """One call that the gateway made."""

    method: str
    data: dict[str, Any]
    timeout_s: float
    correlation_id: str
    identity_token: str | None


@dataclass
class FakeRpc:
    """Answers from `replies`; a Refusal (or any exception) there is raised, a function is called with the data."""

    replies: dict[str, Any] = field(default_factory=lambda: dict(REPLIES))
    calls: list[Called] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, service: str, method: str, data: dict[str, Any], *, reply: Schema, timeout_s: float = 5.0) -> Any:
        at_hand = context.current()
        assert at_hand is not None, "a call outside of a request has no correlation id"
        with self.lock:
            name = f"{service}.{method}"
            self.calls.append(Called(name, data, timeout_s, at_hand.correlation_id, at_hand.identity_token))
        answer = self.replies.get(name, Refusal(Kind.UNAVAILABLE, "unavailable", "Nobody is there."))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Callable):
            answer = answer(data)
        return reply.load(answer)

    def names(self) -> list[str]:
        """What was called, without the look-ups of credentials."""
        return [call.method for call in self.calls if call.method != "accounts.authenticate"]

    def last(self, name: str) -> Called:
        return [call for call in self.calls if call.method == name][-1]
