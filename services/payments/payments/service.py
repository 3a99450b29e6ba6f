"""The entrypoints of payments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chassis.messages import Event
from chassis.persistence import Reader
from chassis.service import Call, Provided, Service, consume, consume_many, every, rpc
from chassis.timeline import Step
from payments import messages
from payments.bootstrap import bootstrap
from payments.payment_method_storage import FAILURE
from payments.storage import WEBHOOK_EVENT
from payments.use_cases.answer_dispute import answer_dispute
from payments.use_cases.change_payment import change_payment
from payments.use_cases.chase_remittances import chase_remittances
from payments.use_cases.check_payment import check_payment
from payments.use_cases.collect import collect
from payments.use_cases.dispute_views import get_dispute, list_disputes
from payments.use_cases.end_invoices import credit_invoice, void_invoices
from payments.use_cases.find_orders import find_orders
from payments.use_cases.follow_disputes import follow_disputes, sampler
from payments.use_cases.get_intent import get_intent
from payments.use_cases.get_invoice import get_invoice
from payments.use_cases.issue_instructions import issue_instructions
from payments.use_cases.issue_invoices import issue_open_invoices, issue_paid_invoices
from payments.use_cases.issue_missing_invoices import issue_missing_invoices
from payments.use_cases.list_invoices import list_invoices, search_invoices
from payments.use_cases.list_review import list_review
from payments.use_cases.manage_payment_methods import (
    list_payment_methods,
    remove_payment_method,
    set_default_payment_method,
)
from payments.use_cases.order_facts import order_facts
from payments.use_cases.order_steps import order_steps
from payments.use_cases.pay_by_card import pay_by_card
from payments.use_cases.receive_webhook import receive_webhook
from payments.use_cases.record_payout import list_payouts, record_payout
from payments.use_cases.record_receipt import record_receipt
from payments.use_cases.refund import refund
from payments.use_cases.return_strays import return_strays
from payments.use_cases.save_payment_method import save_payment_method, settle_payment_methods
from payments.use_cases.settle_payments import settle_payments
from payments.use_cases.settle_refunds import settle_refunds
from payments.use_cases.settle_surplus import settle_surplus
from payments.use_cases.void import void


class PaymentsService(Service):
    """Collects money for orders and gives it back. Only cart calls it, its process manager without a user at hand;
    staff reconcile.
    """

    name = "payments"
    app = Provided(bootstrap, gauges={"payments.disputes": sampler})

    def find_steps(self, reader: Reader, order_id: str, organization_id: str | None) -> Iterable[Step]:
        """The steps of an order."""
        return order_steps(reader, order_id, organization_id)

    #: A webhook is signed when it is sent, and sent for three days at most: its id need not be kept for ever.
    kept_days = (*Service.kept_days, (WEBHOOK_EVENT, "received_at", 30), (FAILURE, "last_failed_at", 1))

    @rpc(request=messages.Collect(), reply=messages.IntentReply(), anonymous=True)
    def collect(self, call: Call) -> dict[str, Any]:
        return collect(self.app, call.identity, **call.data)

    @rpc(request=messages.Void(), reply=messages.IntentReply(), anonymous=True)
    def void(self, call: Call) -> dict[str, Any]:
        return void(self.app, call.identity, **call.data)

    @rpc(request=messages.ReceiveWebhook(), reply=messages.Nothing(), anonymous=True)
    def receive_webhook(self, call: Call) -> dict[str, Any]:
        """Something happened at the provider; the gateway passes on what it says."""
        return receive_webhook(self.app, **call.data)

    @rpc(request=messages.IssueInstructions(), reply=messages.IntentReply(), anonymous=True)
    def issue_instructions(self, call: Call) -> dict[str, Any]:
        return issue_instructions(self.app, call.identity, **call.data)

    @rpc(request=messages.PayByCard(), reply=messages.IntentReply(), anonymous=True)
    def pay_by_card(self, call: Call) -> dict[str, Any]:
        return pay_by_card(self.app, call.identity, **call.data)

    @rpc(request=messages.CheckPayment(), reply=messages.Nothing(), anonymous=True)
    def check_payment(self, call: Call) -> dict[str, Any]:
        """Whether an organisation may pay so."""
        return check_payment(self.app, call.identity, **call.data)

    @rpc(request=messages.SavePaymentMethod(), reply=messages.SavedReply(), scope="buy")
    def save_payment_method(self, call: Call) -> dict[str, Any]:
        """The provider keeps a card for the caller's organisation."""
        return save_payment_method(self.app, call.caller, **call.data)

    @rpc(request=messages.ListPaymentMethods(), reply=messages.PaymentMethodList(), scope="read")
    def list_payment_methods(self, call: Call) -> dict[str, Any]:
        """The saved cards of the caller's organisation."""
        return list_payment_methods(self.app, call.caller)

    @rpc(request=messages.OnePaymentMethod(), reply=messages.PaymentMethodReply(), scope="buy")
    def set_default_payment_method(self, call: Call) -> dict[str, Any]:
        """One of them is offered first."""
        return set_default_payment_method(self.app, call.caller, **call.data)

    @rpc(request=messages.OnePaymentMethod(), reply=messages.Nothing(), scope="buy")
    def remove_payment_method(self, call: Call) -> dict[str, Any]:
        """One of them is used no more."""
        return remove_payment_method(self.app, call.caller, **call.data)

    @rpc(request=messages.ChangePayment(), reply=messages.IntentReply(), anonymous=True)
    def change_payment(self, call: Call) -> dict[str, Any]:
        """The card that is under way is given up, and the order is paid in another way."""
        return change_payment(self.app, call.identity, **call.data)

    @rpc(request=messages.RecordReceipt(), reply=messages.RecordedReply())
    def record_receipt(self, call: Call) -> dict[str, Any]:
        """Money has arrived by wire or check; for staff."""
        return record_receipt(self.app, call.caller, **call.data)

    @rpc(request=messages.ListReview(), reply=messages.ReviewList())
    def list_review(self, call: Call) -> dict[str, Any]:
        """Money that had nothing to pay for; for staff."""
        return list_review(self.app, call.caller, **call.data)

    @rpc(request=messages.FindOrders(), reply=messages.FoundOrders())
    def find_orders(self, call: Call) -> dict[str, Any]:
        """Orders by what stands on a statement; for staff."""
        return find_orders(self.app, call.caller, **call.data)

    @rpc(request=messages.SettleSurplus(), reply=messages.SettledReply())
    def settle_surplus(self, call: Call) -> dict[str, Any]:
        """That money is sent back, or pays for another order; for staff."""
        return settle_surplus(self.app, call.caller, **call.data)

    @rpc(request=messages.RecordPayout(), reply=messages.PaidOutReply())
    def record_payout(self, call: Call) -> dict[str, Any]:
        """Money was sent by bank for a refund; for staff."""
        return record_payout(self.app, call.caller, **call.data)

    @rpc(request=messages.ListPayouts(), reply=messages.PayoutList())
    def list_payouts(self, call: Call) -> dict[str, Any]:
        """Money to be sent by bank, or sent; for staff."""
        return list_payouts(self.app, call.caller, **call.data)

    @rpc(request=messages.ListDisputes(), reply=messages.DisputeList())
    def list_disputes(self, call: Call) -> dict[str, Any]:
        """Charges that payers have taken back; for staff."""
        return list_disputes(self.app, call.caller, **call.data)

    @rpc(request=messages.OneDispute(), reply=messages.DisputeSchema())
    def get_dispute(self, call: Call) -> dict[str, Any]:
        return get_dispute(self.app, call.caller, **call.data)

    @rpc(request=messages.SendEvidence(), reply=messages.DisputeAnswered())
    def send_evidence(self, call: Call) -> dict[str, Any]:
        """Why a disputed charge was right; for staff."""
        return answer_dispute(self.app, call.caller, **call.data)

    @rpc(request=messages.AcceptDispute(), reply=messages.DisputeAnswered())
    def accept_dispute(self, call: Call) -> dict[str, Any]:
        """The payer may have the money; for staff."""
        return answer_dispute(self.app, call.caller, **call.data)

    @rpc(request=messages.GetIntent(), reply=messages.IntentReply(), anonymous=True)
    def get_intent(self, call: Call) -> dict[str, Any]:
        return get_intent(self.app, call.identity, **call.data)

    @rpc(request=messages.RefundRequest(), reply=messages.RefundReply(), anonymous=True)
    def refund(self, call: Call) -> dict[str, Any]:
        return refund(self.app, call.identity, **call.data)

    @rpc(request=messages.OrderFactsPage(), reply=messages.OrderFacts())
    def order_facts(self, call: Call) -> dict[str, Any]:
        """What was collected for every order; for staff, who reconcile."""
        return order_facts(self.app, call.caller, **call.data)

    @rpc(request=messages.GetInvoice(), reply=messages.InvoiceReply(), scope="read")
    def get_invoice(self, call: Call) -> dict[str, Any]:
        """The invoice of an order, with its credit notes."""
        return get_invoice(self.app, call.caller, **call.data)

    @rpc(request=messages.ListInvoices(), reply=messages.InvoiceList(), scope="read")
    def list_invoices(self, call: Call) -> dict[str, Any]:
        """The invoices and credit notes of the caller's organisation."""
        return list_invoices(self.app, call.caller, **call.data)

    @rpc(request=messages.SearchInvoices(), reply=messages.InvoiceList())
    def search_invoices(self, call: Call) -> dict[str, Any]:
        """Anybody's invoices and credit notes; for staff."""
        return search_invoices(self.app, call.caller, **call.data)

    @rpc(request=messages.GetIssuer(), reply=messages.IssuerReply(), scope="read")
    def get_issuer(self, call: Call) -> dict[str, Any]:
        """Who sells, as documents say it."""
        issuer: dict[str, Any] = self.app.issuer.as_dict()
        return issuer

    @consume_many("cart.order_billed.v1", messages.OrderBilled())
    def on_order_billed(self, events: list[Event]) -> None:
        """Open invoices."""
        issue_open_invoices(self.app, events)

    @consume_many("cart.order_paid.v1", messages.OrderPaid())
    def on_order_paid(self, events: list[Event]) -> None:
        """Paid invoices."""
        issue_paid_invoices(self.app, events)

    @consume_many("cart.order_cancelled.v1", messages.OrderCancelled())
    def on_order_cancelled(self, events: list[Event]) -> None:
        """Void invoices."""
        void_invoices(self.app, events)

    @consume("cart.order_refunded.v1", messages.OrderRefunded())
    def on_order_refunded(self, event: Event) -> None:
        """A credit note."""
        credit_invoice(self.app, event)

    @every(2.0)
    def settle_payments(self) -> None:
        settle_payments(self.app)

    @every(30.0)
    def chase_remittances(self) -> None:
        """Reminders, and the end of what was not paid in time."""
        chase_remittances(self.app)

    @every(30.0)
    def settle_payment_methods(self) -> None:
        """Cards whose keeping is not known, and cards to be forgotten."""
        settle_payment_methods(self.app)

    @every(300.0)
    def issue_missing_invoices(self) -> None:
        """Invoices of orders that were paid before there were any."""
        issue_missing_invoices(self.app)

    @every(60.0)
    def follow_disputes(self) -> None:
        """Webhooks have it done at once; this is for those that never come."""
        follow_disputes(self.app)

    @every(30.0)
    def return_strays(self) -> None:
        """Money that was taken for an attempt that was over goes back."""
        return_strays(self.app)

    @every(2.0)
    def settle_refunds(self) -> None:
        settle_refunds(self.app)
