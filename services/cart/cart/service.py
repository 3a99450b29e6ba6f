"""The entrypoints of cart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cart import messages
from cart.bootstrap import bootstrap
from cart.storage import FAILURE
from cart.use_cases.add_line import add_line
from cart.use_cases.apply_deployment import apply_deployment
from cart.use_cases.cancel_order import cancel_order
from cart.use_cases.change_payment import change_payment
from cart.use_cases.chase_quotes import chase_quotes
from cart.use_cases.convert_quote import convert_quote
from cart.use_cases.decide_refund import decide_refund
from cart.use_cases.get_cart import get_cart
from cart.use_cases.get_order import get_order
from cart.use_cases.get_refund import find_refund, get_refund, list_refunds
from cart.use_cases.hand_over_lines import hand_over_lines
from cart.use_cases.list_orders import list_orders
from cart.use_cases.note_dispute import note_dispute
from cart.use_cases.note_receipt import note_receipt
from cart.use_cases.order_facts import order_facts
from cart.use_cases.order_steps import order_steps
from cart.use_cases.paid_orders import paid_orders
from cart.use_cases.place_order import place_order
from cart.use_cases.refund_order import refund_order
from cart.use_cases.remove_line import remove_line
from cart.use_cases.resume_orders import resume_orders
from cart.use_cases.resume_refunds import resume_refunds
from cart.use_cases.search_orders import search_orders
from cart.use_cases.settle_order import settle_orders_by_event
from cart.use_cases.settle_refund import FAILED, SUCCEEDED, end_refund_by_event
from cart.use_cases.update_line import update_line
from chassis.messages import Event
from chassis.persistence import Reader
from chassis.service import Call, Provided, Service, consume, consume_many, every, rpc
from chassis.timeline import Step


class CartService(Service):
    """Carts, orders, and the checkout."""

    name = "cart"
    app = Provided(bootstrap)
    kept_days = (*Service.kept_days, (FAILURE, "last_failed_at", 1))

    def find_steps(self, reader: Reader, order_id: str, organization_id: str | None) -> Iterable[Step]:
        """The steps of an order."""
        return order_steps(reader, order_id, organization_id)

    @rpc(request=messages.GetCart(), reply=messages.CartReply(), scope="read")
    def get_cart(self, call: Call) -> dict[str, Any]:
        """The caller's cart."""
        return get_cart(self.app, call.caller, **call.data)

    @rpc(request=messages.AddLine(), reply=messages.CartReply(), scope="buy")
    def add_line(self, call: Call) -> dict[str, Any]:
        """Add to cart."""
        return add_line(self.app, call.caller, **call.data)

    @rpc(request=messages.UpdateLine(), reply=messages.CartReply(), scope="buy")
    def update_line(self, call: Call) -> dict[str, Any]:
        """Change a line."""
        return update_line(self.app, call.caller, **call.data)

    @rpc(request=messages.RemoveLine(), reply=messages.CartReply(), scope="buy")
    def remove_line(self, call: Call) -> dict[str, Any]:
        """Take a line out."""
        return remove_line(self.app, call.caller, **call.data)

    @rpc(request=messages.ApplyDeployment(), reply=messages.AppliedReply(), scope="buy")
    def apply_deployment(self, call: Call) -> dict[str, Any]:
        """Apply to All."""
        return apply_deployment(self.app, call.caller, **call.data)

    @rpc(request=messages.PlaceOrder(), reply=messages.PlacedReply(), scope="buy")
    def place_order(self, call: Call) -> dict[str, Any]:
        """Process Order."""
        return place_order(self.app, call.caller, **call.data)

    @rpc(request=messages.CancelOrder(), reply=messages.CancelledReply(), scope="buy")
    def cancel_order(self, call: Call) -> dict[str, Any]:
        """Cancel an unpaid order."""
        return cancel_order(self.app, call.caller, **call.data)

    @rpc(request=messages.ChangePayment(), reply=messages.PlacedReply(), scope="buy")
    def change_payment(self, call: Call) -> dict[str, Any]:
        """Another way to pay for an order that awaits payment."""
        return change_payment(self.app, call.caller, **call.data)

    @rpc(request=messages.ConvertQuote(), reply=messages.PlacedReply(), scope="buy")
    def convert_quote(self, call: Call) -> dict[str, Any]:
        """An order of a quote, once."""
        return convert_quote(self.app, call.caller, **call.data)

    @rpc(request=messages.GetOrder(), reply=messages.OrderReply(), scope="read")
    def get_order(self, call: Call) -> dict[str, Any]:
        """One order of the caller's organisation."""
        return get_order(self.app, call.caller, call.data["id"])

    @rpc(request=messages.ListOrders(), reply=messages.OrderList(), scope="read")
    def list_orders(self, call: Call) -> dict[str, Any]:
        """The orders of the caller's organisation."""
        return list_orders(self.app, call.caller, **call.data)

    @rpc(request=messages.SearchOrders(), reply=messages.FoundOrders())
    def search_orders(self, call: Call) -> dict[str, Any]:
        """Orders of any organisation; for staff."""
        return search_orders(self.app, call.caller, **call.data)

    @rpc(request=messages.OrderFactsPage(), reply=messages.OrderFacts())
    def order_facts(self, call: Call) -> dict[str, Any]:
        """What every order is owed; for staff, who reconcile."""
        return order_facts(self.app, call.caller, **call.data)

    @rpc(request=messages.PaidOrdersAsked(), reply=messages.PaidOrders(), anonymous=True)
    def paid_orders(self, call: Call) -> dict[str, Any]:
        """What the events of paid orders have said; for payments, which invoices what it has missed."""
        return paid_orders(self.app, call.identity, **call.data)

    @rpc(request=messages.RefundOrder(), reply=messages.RefundedReply())
    def refund_order(self, call: Call) -> dict[str, Any]:
        """Give the money of an order back; for staff."""
        return refund_order(self.app, call.caller, **call.data)

    @rpc(request=messages.DecideRefund(), reply=messages.RefundedReply())
    def decide_refund(self, call: Call) -> dict[str, Any]:
        """The second pair of eyes; for staff."""
        return decide_refund(self.app, call.caller, **call.data)

    @rpc(request=messages.FindRefund(), reply=messages.RefundReply())
    def find_refund(self, call: Call) -> dict[str, Any]:
        """A refund; for staff."""
        return find_refund(self.app, call.caller, call.data["id"])

    @rpc(request=messages.ListRefunds(), reply=messages.RefundList())
    def list_refunds(self, call: Call) -> dict[str, Any]:
        """Refunds of all organisations; for staff."""
        return list_refunds(self.app, call.caller, **call.data)

    @rpc(request=messages.GetRefund(), reply=messages.RefundReply())
    def get_refund(self, call: Call) -> dict[str, Any]:
        """The refund of an order; for staff."""
        return get_refund(self.app, call.caller, call.data["order_id"])

    @consume_many("payments.captured.v1", messages.PaymentCaptured())
    def on_payment_captured(self, events: list[Event]) -> None:
        """The orders are paid."""
        settle_orders_by_event(self.app, events, "captured")

    @consume_many("payments.failed.v1", messages.PaymentFailed())
    def on_payment_failed(self, events: list[Event]) -> None:
        """The orders are cancelled."""
        settle_orders_by_event(self.app, events, "failed")

    @consume_many("payments.voided.v1", messages.PaymentVoided())
    def on_payment_voided(self, events: list[Event]) -> None:
        """The orders are cancelled on request."""
        settle_orders_by_event(self.app, events, "voided")

    @consume_many("payments.instructions_issued.v1", messages.InstructionsIssued())
    def on_instructions_issued(self, events: list[Event]) -> None:
        """The orders await a wire or check."""
        settle_orders_by_event(self.app, events, "requires_action")

    @consume("payments.receipt_recorded.v1", messages.ReceiptRecorded())
    def on_receipt_recorded(self, event: Event) -> None:
        """Money has come by wire or check."""
        note_receipt(self.app, event)

    @consume("payments.refunded.v1", messages.PaymentRefunded())
    def on_payment_refunded(self, event: Event) -> None:
        """The order is refunded."""
        end_refund_by_event(self.app, event, (SUCCEEDED, None))

    @consume("payments.refund_failed.v1", messages.PaymentRefundFailed())
    def on_payment_refund_failed(self, event: Event) -> None:
        """The provider does not give the money back: a person must."""
        end_refund_by_event(self.app, event, (FAILED, event.data["failure_code"]))

    @consume("payments.dispute_opened.v1", messages.PaymentDisputed())
    def on_dispute_opened(self, event: Event) -> None:
        """The payer's bank has taken the money back, for now."""
        note_dispute(self.app, event)

    @consume("payments.dispute_closed.v1", messages.PaymentDisputeClosed())
    def on_dispute_closed(self, event: Event) -> None:
        """The network has decided."""
        note_dispute(self.app, event)

    @consume_many("credits.order_credited.v1", messages.LinesHandedOver())
    def on_order_credited(self, events: list[Event]) -> None:
        """Credits were granted, or put on cards."""
        hand_over_lines(self.app, events, "awaits_credits")

    @consume_many("accounts.order_bound.v1", messages.LinesHandedOver())
    def on_order_bound(self, events: list[Event]) -> None:
        """Contracts and licences were bound."""
        hand_over_lines(self.app, events, "awaits_binding")

    @every(2.0)
    def resume_orders(self) -> None:
        """Ask again about payments that nobody has answered for."""
        resume_orders(self.app)

    @every(60.0)
    def chase_quotes(self) -> None:
        """Remind of quotes that are about to expire, and close those that have."""
        chase_quotes(self.app)

    @every(2.0)
    def resume_refunds(self) -> None:
        """Go on with refunds that nobody is at."""
        resume_refunds(self.app)
