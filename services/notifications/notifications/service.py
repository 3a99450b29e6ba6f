"""The notifications service: its entrypoints."""

from __future__ import annotations

from typing import Any

from chassis.messages import Event
from chassis.service import Call, Provided, Service, consume, every, rpc
from notifications import messages
from notifications.bootstrap import bootstrap
from notifications.use_cases.list_deliveries import list_deliveries
from notifications.use_cases.queue_mail import (
    queue_card,
    queue_claim_notice,
    queue_instructions,
    queue_payment_received,
    queue_receipt,
    queue_refund_notice,
    queue_reminder,
)
from notifications.use_cases.send_mails import send_mails


class NotificationsService(Service):
    """Mails, one for each cause."""

    name = "notifications"
    app = Provided(bootstrap)

    @consume("cart.order_paid.v1", messages.OrderPaid())
    def on_order_paid(self, event: Event) -> None:
        """The receipt."""
        queue_receipt(self.app, event)

    @consume("credits.card_issued.v1", messages.CardIssued())
    def on_card_issued(self, event: Event) -> None:
        """The card mail."""
        queue_card(self.app, event)

    @consume("credits.card_claimed.v1", messages.CardClaimed())
    def on_card_claimed(self, event: Event) -> None:
        """The claim notice."""
        queue_claim_notice(self.app, event)

    @consume("payments.instructions_issued.v1", messages.InstructionsIssued())
    def on_instructions_issued(self, event: Event) -> None:
        """How to pay by wire or check."""
        queue_instructions(self.app, event)

    @consume("payments.reminder_issued.v1", messages.ReminderIssued())
    def on_reminder_issued(self, event: Event) -> None:
        """The money has not come yet."""
        queue_reminder(self.app, event)

    @consume("payments.receipt_recorded.v1", messages.ReceiptRecorded())
    def on_receipt_recorded(self, event: Event) -> None:
        """Some of the money has come, or all of it."""
        queue_payment_received(self.app, event)

    @consume("cart.order_refunded.v1", messages.OrderRefunded())
    def on_order_refunded(self, event: Event) -> None:
        """The refund notice."""
        queue_refund_notice(self.app, event)

    @every(5.0)
    def send_mails(self) -> None:
        """Everything that is due."""
        send_mails(self.app)

    @rpc(request=messages.ListDeliveries(), reply=messages.DeliveryList())
    def list_deliveries(self, call: Call) -> dict[str, Any]:
        """What became of mails; for staff."""
        return list_deliveries(self.app, call.caller, **call.data)
