"""The services that cart asks. Each method is one RPC; none may be called inside a transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cart import messages
from cart.domain.order import UNKNOWN, Decline, Intent, Order
from cart.domain.products import Deployment, Product
from cart.domain.refund import Refund, TakenBack
from cart.domain.tax import Tax
from chassis.rpc.client import RpcClient
from kernel.errors import Kind, Refusal, invalid, unavailable
from kernel.money import Money

log = logging.getLogger(__name__)

#: Answers of `payments.collect` by which it certainly charged nothing and never will for this order.
_FINAL = frozenset({Kind.INVALID, Kind.NOT_FOUND, Kind.PAYMENT_REFUSED})

# What is read of answers; made once, since making a schema costs more than reading by it.
_BILLING_FACTS = messages.BillingFacts()
_CREDITS_TAKEN_BACK = messages.CreditsTakenBack()
_INTENT_REPLY = messages.IntentReply()
_MONEY_RETURNED = messages.MoneyReturned()
_PAYMENT_MAY_BE = messages.PaymentMayBe()
_PRICES = messages.Prices()
_VISIBLE_DEPLOYMENTS = messages.VisibleDeployments()


@dataclass(frozen=True, slots=True)
class PriceList:
    """What catalog says about some products.

    Args:
        products: by sku; what it does not sell is left out.
        terms_version: of the terms that buyers must accept now.
        tax: on everything, where it was asked for and there is one.
    """

    products: dict[str, Product]
    terms_version: str
    tax: Tax | None = None


@dataclass(frozen=True, slots=True)
class BillingFacts:
    """What accounts says for the papers of an order.

    Args:
        time_zone: of the organisation, an IANA name; the last day of a quote ends in it.
        tax_certificate: of its exemption from tax; None if it has none.
        address: the one that was asked for, or its default billing address if it has one.
    """

    time_zone: str
    tax_certificate: str | None
    address: Mapping[str, Any] | None

    @property
    def taxed_in(self) -> dict[str, Any] | None:
        """Where an order that is billed to the address is taxed."""
        if self.address is None:
            return None
        return {"country": self.address["country"], "state": self.address["state"]}


class Catalog:
    """Asks catalog.

    Args:
        rpc: the client.
        kept_s: seconds for which `kept_prices` may repeat an answer.
    """

    def __init__(self, rpc: RpcClient, kept_s: float = 0.0) -> None:
        self._rpc = rpc
        self._kept_s = kept_s
        #: By currency and sku: the product, the version of the terms, and until when they may be repeated.
        self._kept: dict[tuple[str, str], tuple[Product, str, float]] = {}

    def price_lines(self, skus: Sequence[str], currency: str, taxed_in: Mapping[str, Any] | None = None) -> PriceList:
        """Products and prices as they are now.

        Args:
            skus: of the products.
            currency: of the prices.
            taxed_in: ``{"country", "state"}``, to be told the tax too.

        Raises:
            Refusal: `unavailable`.
        """
        asked = {"skus": list(skus), "currency": currency, **({"taxed_in": taxed_in} if taxed_in else {})}
        reply = self._rpc.call("catalog", "price_lines", asked, reply=_PRICES)
        products = {
            item["sku"]: Product(**{**item, "unit_price": Money(**item["unit_price"])}) for item in reply["items"]
        }
        until = time.monotonic() + self._kept_s
        for sku in skus:  # what is no longer sold is forgotten, and what never was is not kept
            self._kept.pop((currency, sku), None)
            if sku in products:
                self._kept[currency, sku] = products[sku], reply["terms_version"], until
        tax = reply.get("tax")
        return PriceList(products, reply["terms_version"], Tax(**tax) if tax else None)

    def kept_prices(self, skus: Sequence[str], currency: str) -> PriceList | None:
        """The same as they were a moment ago, without asking: good enough for a cart, where an order asks again. None
        if one of them is not known.
        """
        now = time.monotonic()
        kept = {sku: self._kept[currency, sku] for sku in skus if (currency, sku) in self._kept}
        terms = {version for _, version, _ in kept.values()}
        if len(kept) < len(skus) or len(terms) != 1 or any(until <= now for _, _, until in kept.values()):
            return None
        return PriceList({sku: product for sku, (product, _, _) in kept.items()}, terms.pop())


class Accounts:
    """Asks accounts."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def check_deployments(self, ids: Sequence[str]) -> dict[str, Deployment]:
        """Those of the deployments that the caller may see, by id; nobody is asked about none.

        Raises:
            Refusal: `unavailable`.
        """
        if not ids:
            return {}
        reply = self._rpc.call("accounts", "check_deployments", {"ids": list(ids)}, reply=_VISIBLE_DEPLOYMENTS)
        return {item["id"]: Deployment(item["id"], item["state"] == "active") for item in reply["items"]}

    def billing_facts(self, address_id: str | None) -> BillingFacts:
        """What bears on the papers of an order of the caller's organisation.

        Raises:
            Refusal: `billing_address_not_found`; `unavailable`.
        """
        try:
            reply = self._rpc.call(
                "accounts", "billing_facts", {"address_id": address_id}, reply=_BILLING_FACTS
            )  # fmt: skip
        except Refusal as refusal:
            if refusal.kind is not Kind.NOT_FOUND:
                raise
            raise invalid(
                "billing_address_not_found", "There is no such address. Choose another one.", "billing_address_id"
            ) from refusal
        organization = reply["organization"]
        return BillingFacts(organization["time_zone"], organization["tax_certificate"], reply["address"])


class Payments:
    """Asks payments.

    Args:
        rpc: the client.
        collect_timeout_s: seconds to wait for a charge.
    """

    def __init__(self, rpc: RpcClient, collect_timeout_s: float) -> None:
        self._rpc = rpc
        self._collect_timeout_s = collect_timeout_s

    def collect(self, order: Order) -> Intent:
        """Have the order's total collected, or awaited; safe to ask again, payments charges once per order.

        Returns:
            What came of it; `UNKNOWN` if payments did not answer.
        """
        if order.payment_round:
            return self._change(order)
        if order.payment_method != "card":
            return self.await_by(order)
        if order.attempt_id is not None:
            request = {
                "order_id": order.id, "attempt_id": order.attempt_id, "provider_token": order.provider_token
            }  # fmt: skip
            return replace(self._ask("pay_by_card", request), attempt_id=order.attempt_id)
        return self._ask("collect", {**_what_to_collect(order), **_card_of(order)})

    def await_by(self, order: Order) -> Intent:
        """Have the order's total awaited by its method, or by that one instead of the one it is awaited by."""
        return self._ask("issue_instructions", _what_to_await(order))

    def check(self, organization_id: str, method: str, payment_method_id: str | None) -> None:
        """Whether payments may be made so now.

        Raises:
            Refusal: `payment_method_unavailable`; `not_found` if it is no card of that organisation, `card_expired`;
                `unavailable`.
        """
        request = {"organization_id": organization_id, "method": method, "payment_method_id": payment_method_id}
        self._rpc.call("payments", "check_payment", request, reply=_PAYMENT_MAY_BE)

    def _change(self, order: Order) -> Intent:
        """Have the card that is under way given up, and the order paid in another way.

        No refusal ends it, since the card may still be charged: it is asked for again until payments has said what
        came of both.
        """
        request = {
            **_what_to_await(order), "round": order.payment_round, "attempt_id": order.attempt_id, **_card_of(order),
        }  # fmt: skip
        intent = self._ask("change_payment", request)
        if intent.intent_id is None:
            return UNKNOWN
        return replace(intent, attempt_id=order.attempt_id, round=order.payment_round)

    def _ask(self, method: str, request: dict[str, Any]) -> Intent:
        try:
            reply = self._rpc.call("payments", method, request, reply=_INTENT_REPLY, timeout_s=self._collect_timeout_s)
        except Refusal as refusal:
            if refusal.kind in _FINAL:
                return Intent("failed", decline=Decline(refusal.code, refusal.detail))
            log.warning("payments did not answer; the order will be resumed", extra={"code": refusal.code})
            return UNKNOWN
        return as_intent(reply, reply["state"])

    def void(self, order: Order) -> Intent:
        """Have collecting the order's total given up, unless it was collected already; safe to ask again.

        Returns:
            What came of it, for good or not yet; `UNKNOWN` if payments did not answer.
        """
        try:
            reply = self._rpc.call(
                "payments", "void", _what_to_collect(order), reply=_INTENT_REPLY,
                timeout_s=self._collect_timeout_s,
            )  # fmt: skip
        except Refusal as refusal:
            log.warning("payments did not answer; the order will be cancelled later", extra={"code": refusal.code})
            return UNKNOWN
        return as_intent(reply, reply["state"])

    def find_intent(self, order_id: str) -> Intent | None:
        """What payments knows about the order; None if nothing.

        Raises:
            Refusal: `unavailable`, whatever kept payments from an answer: its reasons (a clock that is wrong, say) are
                not the customer's.
        """
        try:
            reply = self._rpc.call("payments", "get_intent", {"order_id": order_id}, reply=_INTENT_REPLY)
        except Refusal as refusal:
            if refusal.kind is Kind.NOT_FOUND:
                return None
            log.warning("payments did not say what it knows", extra={"code": refusal.code})
            raise unavailable() from refusal
        return as_intent(reply, reply["state"])

    def refund(self, refund: Refund) -> tuple[str, str | None]:
        """Have the money of a refund given back; safe to ask again, payments gives back once per refund.

        Returns:
            ``succeeded``, ``failed``, ``processing``, or ``awaiting_payout`` if staff must send it; and why it failed.

        Raises:
            Refusal: `unavailable` and whatever else is not an answer.
        """
        request = {
            "refund_id": refund.id,
            "order_id": refund.order_id,
            "amount": refund.amount.as_dict(),
            "reason": refund.reason,
        }
        reply = self._rpc.call("payments", "refund", request, reply=_MONEY_RETURNED, timeout_s=self._collect_timeout_s)
        return reply["state"], reply["failure_code"]


class Credits:
    """Asks credits."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def take_back(self, refund: Refund) -> TakenBack:
        """Have the credits of an order taken back; safe to ask again, credits takes back once per refund.

        Raises:
            Refusal: `credits_in_use`; `unavailable` and whatever else is not an answer.
        """
        request: dict[str, Any] = {"refund_id": refund.id, "order_id": refund.order_id, "claimed": refund.claimed}
        lines = refund.credits_of_lines
        if lines is not None:
            request["lines"] = lines
        if lines == []:
            return TakenBack(0, 0, 0, 0)
        return TakenBack(**self._rpc.call("credits", "take_back_order", request, reply=_CREDITS_TAKEN_BACK))


def _what_to_collect(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.id,
        "order_number": order.number,
        "amount": order.total.as_dict(),
        "method": order.payment_method,
        "payer": {
            "organization_id": order.organization_id,
            "user_id": order.user_id,
            "email": order.buyer_email,
        },
    }


def _card_of(order: Order) -> dict[str, Any]:
    """The card that is to pay: by its token, to be saved perhaps, or a saved one."""
    if order.payment_method_id is not None:
        return {"payment_method_id": order.payment_method_id}
    return {"provider_token": order.provider_token, **({"save": True} if order.save_card else {})}


def _what_to_await(order: Order) -> dict[str, Any]:
    asked = _what_to_collect(order)
    writes_to = {"organization": order.organization_name, "name": order.buyer_name, "language": order.buyer_language}
    return {**asked, "payer": {**asked["payer"], **writes_to}}


def as_intent(data: dict[str, Any], state: str) -> Intent:
    """The intent of a reply or an event of payments."""
    card, decline, amount = data.get("card"), data.get("decline"), data.get("amount")
    return Intent(
        state=state,
        intent_id=data["intent_id"],
        amount=Money(**amount) if amount else None,
        card_brand=card["brand"] if card else None,
        card_last4=card["last4"] if card else None,
        decline=Decline(**decline) if decline else None,
        method=data.get("method"),
        instructions=data.get("instructions"),
        next_action=data.get("next_action"),
    )
