"""The notifications service: its entrypoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chassis.messages import Event
from chassis.persistence import Reader
from chassis.service import Call, Provided, Service, consume_many, every, rpc
from chassis.timeline import Step
from notifications import messages
from notifications.bootstrap import bootstrap
from notifications.storage import INVOICE_NUMBER
from notifications.use_cases.list_deliveries import list_deliveries
from notifications.use_cases.order_steps import order_steps
from notifications.use_cases.queue_mail import (
    note_invoices,
    queue_account_mails,
    queue_balance_alerts,
    queue_card_reminders,
    queue_cards,
    queue_claim_notices,
    queue_defects,
    queue_instructions,
    queue_overruns,
    queue_payments_received,
    queue_quote_reminders,
    queue_quotes,
    queue_receipts,
    queue_refund_notices,
    queue_reissued_cards,
    queue_reminders,
    queue_ticket_answers,
    queue_ticket_closings,
    queue_ticket_openings,
)
from notifications.use_cases.send_mails import send_mails


class NotificationsService(Service):
    """Mails, one for each cause."""

    name = "notifications"
    app = Provided(bootstrap)

    def find_steps(self, reader: Reader, order_id: str, organization_id: str | None) -> Iterable[Step]:
        """The steps of an order."""
        return order_steps(reader, order_id, organization_id)

    kept_days = (*Service.kept_days, (INVOICE_NUMBER, "noted_at", 30))

    @consume_many("cart.order_paid.v1", messages.OrderPaid())
    def on_order_paid(self, events: list[Event]) -> None:
        """Receipts."""
        queue_receipts(self.app, events)

    @consume_many("payments.invoice_paid.v1", messages.InvoicePaid())
    def on_invoice_paid(self, events: list[Event]) -> None:
        """Receipts can name their invoices."""
        note_invoices(self.app, events)

    @consume_many("credits.card_issued.v1", messages.CardIssued())
    def on_card_issued(self, events: list[Event]) -> None:
        """Card mails."""
        queue_cards(self.app, events)

    @consume_many("credits.card_reissued.v1", messages.CardReissued())
    def on_card_reissued(self, events: list[Event]) -> None:
        """Card mails with another code."""
        queue_reissued_cards(self.app, events)

    @consume_many("credits.card_expiring.v1", messages.CardExpiring())
    def on_card_expiring(self, events: list[Event]) -> None:
        """Nobody has claimed a card yet."""
        queue_card_reminders(self.app, events)

    @consume_many("credits.balance_low.v1", messages.BalanceLow())
    def on_balance_low(self, events: list[Event]) -> None:
        """Few credits are left."""
        queue_balance_alerts(self.app, events)

    @consume_many("credits.card_claimed.v1", messages.CardClaimed())
    def on_card_claimed(self, events: list[Event]) -> None:
        """Claim notices."""
        queue_claim_notices(self.app, events)

    @consume_many("payments.instructions_issued.v1", messages.InstructionsIssued())
    def on_instructions_issued(self, events: list[Event]) -> None:
        """How to pay by wire or check."""
        queue_instructions(self.app, events)

    @consume_many("payments.reminder_issued.v1", messages.ReminderIssued())
    def on_reminder_issued(self, events: list[Event]) -> None:
        """The money has not come yet."""
        queue_reminders(self.app, events)

    @consume_many("payments.receipt_recorded.v1", messages.ReceiptRecorded())
    def on_receipt_recorded(self, events: list[Event]) -> None:
        """Some of the money has come, or all of it."""
        queue_payments_received(self.app, events)

    @consume_many("cart.order_refunded.v1", messages.OrderRefunded())
    def on_order_refunded(self, events: list[Event]) -> None:
        """Refund notices."""
        queue_refund_notices(self.app, events)

    @consume_many("cart.quote_issued.v1", messages.QuoteIssued())
    def on_quote_issued(self, events: list[Event]) -> None:
        """Quotes."""
        queue_quotes(self.app, events)

    @consume_many("cart.quote_expiring.v1", messages.QuoteExpiring())
    def on_quote_expiring(self, events: list[Event]) -> None:
        """Quotes are about to expire."""
        queue_quote_reminders(self.app, events)

    @consume_many("accounts.notice_issued.v1", messages.NoticeIssued())
    def on_notice_issued(self, events: list[Event]) -> None:
        """Links, and news of people's accounts."""
        queue_account_mails(self.app, events)

    @consume_many("support.ticket_opened.v1", messages.TicketOpened())
    def on_ticket_opened(self, events: list[Event]) -> None:
        """What is held for a ticket."""
        queue_ticket_openings(self.app, events)

    @consume_many("support.ticket_answered.v1", messages.TicketAnswered())
    def on_ticket_answered(self, events: list[Event]) -> None:
        """Support has written something."""
        queue_ticket_answers(self.app, events)

    @consume_many("support.overrun_asked.v1", messages.OverrunAsked())
    def on_overrun_asked(self, events: list[Event]) -> None:
        """A ticket needs more credits than are held."""
        queue_overruns(self.app, events)

    @consume_many("support.ticket_closed.v1", messages.TicketClosed())
    def on_ticket_closed(self, events: list[Event]) -> None:
        """What was debited."""
        queue_ticket_closings(self.app, events)

    @consume_many("support.defect_credited.v1", messages.DefectCredited())
    def on_defect_credited(self, events: list[Event]) -> None:
        """What came back."""
        queue_defects(self.app, events)

    @every(5.0)
    def send_mails(self) -> None:
        """Everything that is due."""
        send_mails(self.app)

    @rpc(request=messages.ListDeliveries(), reply=messages.DeliveryList())
    def list_deliveries(self, call: Call) -> dict[str, Any]:
        """What became of mails; for staff."""
        return list_deliveries(self.app, call.caller, **call.data)
