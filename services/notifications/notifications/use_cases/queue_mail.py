"""Queue a mail: note that an event causes one. It is sent later, so that nobody waits for a mail server."""

from __future__ import annotations

import json

from chassis import context
from chassis.messages import Event
from kernel.ids import new_id
from notifications import storage
from notifications.bootstrap import App
from notifications.domain.deliveries import MailKind, State, cause_of, message_id_of
from notifications.messages import PAYLOADS


def queue_receipt(app: App, event: Event) -> None:
    """An order was paid: its buyer gets a receipt."""
    _queue(app, event, MailKind.RECEIPT, event.data["order_id"])


def queue_card(app: App, event: Event) -> None:
    """A card was issued: its buyer gets the number and the claim code."""
    _queue(app, event, MailKind.CARD, event.data["card_id"])


def queue_claim_notice(app: App, event: Event) -> None:
    """A card was claimed: the buyer who had it issued is told."""
    _queue(app, event, MailKind.CARD_CLAIMED, event.data["card_id"])


def queue_instructions(app: App, event: Event) -> None:
    """An order waits for a wire or check: its buyer is told how to pay, again with each change of the method."""
    issue = event.data["instructions"]["issue"]
    _queue(app, event, MailKind.PAYMENT_INSTRUCTIONS, f"{event.data['order_id']}:{issue}")


def queue_reminder(app: App, event: Event) -> None:
    """The money has not come yet: its buyer is reminded."""
    issue, reminder = event.data["instructions"]["issue"], event.data["reminder"]
    _queue(app, event, MailKind.PAYMENT_REMINDER, f"{event.data['order_id']}:{issue}.{reminder}")


def queue_payment_received(app: App, event: Event) -> None:
    """Money has come by wire or check: the buyer is told what is left to pay, or that nothing is."""
    _queue(app, event, MailKind.PAYMENT_RECEIVED, event.data["receipt"]["id"])


def queue_refund_notice(app: App, event: Event) -> None:
    """An order was refunded: its buyer is told."""
    _queue(app, event, MailKind.REFUND, event.data["refund_id"])


def _queue(app: App, event: Event, kind: MailKind, subject_id: str) -> None:
    buyer = event.data["buyer"]
    delivery_id = new_id("dlv")
    with app.database.transaction() as tx:
        if not tx.accept(event):
            return
        storage.add_delivery(
            tx,
            {
                "id": delivery_id,
                "kind": kind,
                "cause": cause_of(kind, subject_id),
                "order_id": event.data.get("order_id"),
                "recipient": buyer["email"],
                "language": buyer["language"],
                "message_id": message_id_of(delivery_id, app.message_id_domain),
                "payload": json.dumps(PAYLOADS[kind].dump(event.data), separators=(",", ":")),
                "correlation_id": context.correlation_id(),
                "state": State.QUEUED,
                "attempts": 0,
                "next_attempt_at": tx.now,
                "queued_at": tx.now,
            },
        )
        tx.after_commit(app.wake_sender)
